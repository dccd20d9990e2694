"""Emulate AWS on one machine: deploy a SAM template and run it. The emulator knows nothing about this application."""
