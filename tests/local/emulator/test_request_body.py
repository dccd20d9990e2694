"""emulator/request_body.py: reads complete bodies only."""

import http.client
import io

import pytest

from local.emulator.request_body import BodyError, read_body

WHOLE = {
    "length": (b"Content-Length: 5\r\n\r\n", b"hello", b"hello"),
    "no bytes": (b"Content-Length: 0\r\n\r\n", b"", b""),
    "no body": (b"\r\n", b"", b""),
    "chunks": (b"Transfer-Encoding: chunked\r\n\r\n", b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello"),
    "one chunk": (b"transfer-encoding: Chunked\r\n\r\n", b"05\r\nhello\r\n000\r\n\r\n", b"hello"),
    "extensions": (b"Transfer-Encoding: chunked\r\n\r\n", b'5;a=b;c="d"\r\nhello\r\n0;last\r\n\r\n', b"hello"),
    "trailers": (b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n0\r\nChecksum: x\r\n\r\n", b"hello"),
    "a form": (b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5\r\n\r\n", b"hello", b"hello"),
    "chunks of lines": (b"Transfer-Encoding: chunked\r\n\r\n", b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
}
AMBIGUOUS = {
    "both": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "one length twice": b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
    "a list": b"Content-Length: 5, 5\r\n\r\n",
    "negative": b"Content-Length: -5\r\n\r\n",
    "signed": b"Content-Length: +5\r\n\r\n",
    "underscored": b"Content-Length: 1_0\r\n\r\n",
    "hexadecimal": b"Content-Length: 0x5\r\n\r\n",
    "other digits": b"Content-Length: \xd9\xa5\r\n\r\n",
    "empty": b"Content-Length:\r\n\r\n",
    "no number": b"Content-Length: five\r\n\r\n",
    "zipped": b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "not chunked": b"Transfer-Encoding: identity\r\n\r\n",
    "almost chunked": b"Transfer-Encoding: xchunked\r\n\r\n",
    "quoted": b'Transfer-Encoding: "chunked"\r\n\r\n',
    "space before the colon": b"Content-Length : 5\r\n\r\n",
    "no colon": b"Content-Length 5\r\n\r\n",
    "hidden behind no colon": b"A: b\r\nwords\r\nContent-Length: 5\r\n\r\n",
    "a continuation first": b" words\r\nContent-Length: 5\r\n\r\n",
    "continued": b"A: b\r\n c\r\nContent-Length: 5\r\n\r\n",
}
CHUNKS = {
    "negative": b"-5\r\nhello\r\n0\r\n\r\n",
    "signed": b"+5\r\nhello\r\n0\r\n\r\n",
    "prefixed": b"0x5\r\nhello\r\n0\r\n\r\n",
    "underscored": b"0_5\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "only an extension": b";a=b\r\nhello\r\n0\r\n\r\n",
    "longer than it says": b"4\r\nhello\r\n0\r\n\r\n",
    "shorter than it says": b"6\r\nhello\r\n0\r\n\r\n",
    "line feeds alone": b"5\nhello\n0\n\n",
    "endless size": b"0" * 10_000 + b"5\r\nhello\r\n0\r\n\r\n",
    "endless trailers": b"5\r\nhello\r\n0\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
}


def read(head: bytes, body: bytes) -> bytes:
    return read_body(http.client.parse_headers(io.BytesIO(head)), io.BytesIO(body))


@pytest.mark.parametrize(("head", "body", "content"), WHOLE.values(), ids=WHOLE)
def test_a_complete_body_is_read(head, body, content):
    """The chunk framing is removed, and no byte of the next request is read."""
    stream = io.BytesIO(body + b"GET /next HTTP/1.1\r\n")
    assert read_body(http.client.parse_headers(io.BytesIO(head)), stream) == content
    assert stream.read() == b"GET /next HTTP/1.1\r\n"


@pytest.mark.parametrize(("head", "body", "_"), WHOLE.values(), ids=WHOLE)
def test_a_truncated_body_is_refused(head, body, _):
    """No prefix of a body is accepted."""
    for end in range(len(body)):
        with pytest.raises(BodyError):
            read(head, body[:end])


@pytest.mark.parametrize("head", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_ambiguous_headers_are_refused(head):
    """The end of a body must not be ambiguous."""
    with pytest.raises(BodyError):
        read(head, b"hello")


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS)
def test_malformed_chunks_are_refused(body):
    """Only chunk sizes of the standard are valid."""
    with pytest.raises(BodyError):
        read(b"Transfer-Encoding: chunked\r\n\r\n", body)


def test_a_false_content_length_reserves_no_memory():
    """A large Content-Length reserves no memory."""
    with pytest.raises(BodyError, match="5 of 1,000,000,000,000,000,000 bytes"):
        read(b"Content-Length: 1000000000000000000\r\n\r\n", b"hello")
