"""What the exit codes mean."""

OK = 0
LEFT = 1
USAGE = 2
NO_STACK = 3
PICTURE_FAILED = 4
NO_OUTCOME = 5
INTERRUPTED = 130

WORDS = (
    "exit codes: 0 all was done · 1 something was left undone · 2 wrong arguments · 3 no such stack, or no "
    "credentials · 4 a picture is FAILED, or its last attempt failed · 5 waited in vain for an outcome · "
    "130 interrupted; the first that applies"
)
