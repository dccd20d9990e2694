"""local.relay"""

import ipaddress
import socket
import threading

import pytest

from local.relay import relay


@pytest.fixture
def echo():
    """A server on loopback that answers whatever it gets with the same."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.sendall(client.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_passes_connections_of_the_network_on(echo):
    """What goes in comes out at the loopback port, and the answer comes back."""
    with (
        relay(ipaddress.ip_network("127.0.0.0/29"), echo) as port,
        socket.create_connection(("127.0.0.1", port), 5) as client,
    ):
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"


def test_turns_others_away(echo):
    """The endpoint is for containers on the bridge, not for neighbours who find the port."""
    with (
        relay(ipaddress.ip_network("127.0.0.0/29"), echo) as port,
        socket.create_connection(("127.0.0.1", port), 5, source_address=("127.0.0.9", 0)) as client,
    ):
        assert client.recv(100) == b""


def test_nothing_listens_afterwards(echo):
    """The relay lasts as long as the invocation."""
    with relay(ipaddress.ip_network("127.0.0.0/29"), echo) as port:
        pass
    with pytest.raises(OSError, match=r"refused|reset"):
        socket.create_connection(("127.0.0.1", port), 5)
