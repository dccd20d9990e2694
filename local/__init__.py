"""The pipeline on one machine: the same template, workflow and handlers, without an AWS account. Never deployed."""
