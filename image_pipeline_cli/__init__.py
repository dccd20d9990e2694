"""The command line for a stack on AWS or a local run of it."""
