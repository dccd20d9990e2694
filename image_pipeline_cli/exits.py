"""The exit codes and their meanings."""

OK = 0
INCOMPLETE = 1
USAGE = 2
NO_STACK = 3
IMAGE_FAILED = 4
TIMED_OUT = 5
INTERRUPTED = 130

WORDS = (
    "exit codes: 0 success · 1 partially done, or a check failed · 2 invalid arguments · "
    "3 stack not found or no credentials · 4 an image is FAILED or its last attempt failed · 5 timed out · "
    "130 interrupted; the first that applies"
)
