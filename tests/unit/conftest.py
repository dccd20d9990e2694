"""Unit tests cannot reach the network."""

from pytest_socket import disable_socket


def pytest_runtest_setup():
    """Forbid sockets; pytest-socket allows them again after the test. A fixture would take longer than most tests."""
    disable_socket(allow_unix_socket=True)
