"""The whole pipeline on one machine: the same template, workflow and handlers, no AWS account. Never deployed."""
