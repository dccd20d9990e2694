"""AWS on one machine: deploys a SAM template and runs it. It knows nothing of this application."""
