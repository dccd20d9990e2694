"""`image-pipeline doctor`: report what is wrong with a stack, and change nothing."""
