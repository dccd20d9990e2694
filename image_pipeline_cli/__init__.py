"""Commands for people who run a stack, on AWS by its name or on this machine."""
