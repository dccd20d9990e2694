"""Lets containers reach what listens on this machine's loopback, for as long as a `with` block lasts."""

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def relay(address: str, port: int) -> Iterator[int]:
    """Listen on an address of this machine and pass every connection on to a loopback port.

    Args:
        address: Docker's end of its bridge, which only containers and this machine can reach.
        port: The loopback port.

    Yields:
        The port to connect to.

    Raises:
        OSError: The address is not this machine's.
    """
    with socket.create_server((address, 0)) as listener:
        threading.Thread(target=_accept, args=(listener, port), daemon=True).start()
        yield listener.getsockname()[1]


def _accept(listener: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError):  # closed: the block has ended
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", port))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=_copy, args=(source, sink), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
