"""Lets containers reach what listens on this machine's loopback, for as long as a `with` block lasts."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address


@contextlib.contextmanager
def relay(network: IPv4Network | IPv6Network, port: int) -> Iterator[int]:
    """Listen on this machine's end of a network and pass its connections on to a loopback port.

    Args:
        network: Docker's bridge; its first address is this machine's. Whoever connects from elsewhere is turned away.
        port: The loopback port.

    Yields:
        The port to connect to.

    Raises:
        OSError: The address is not this machine's.
    """
    with socket.create_server((str(next(network.hosts())), 0)) as listener:
        threading.Thread(target=_accept, args=(listener, network, port), daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # or the waiting thread would accept one connection more


def _accept(listener: socket.socket, network: IPv4Network | IPv6Network, port: int) -> None:
    with contextlib.suppress(OSError):  # closed: the block has ended
        while True:
            client, (address, *_) = listener.accept()
            if ip_address(address) in network:
                threading.Thread(target=_serve, args=(client, port), daemon=True).start()
            else:
                client.close()


def _serve(client: socket.socket, port: int) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as server:
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
