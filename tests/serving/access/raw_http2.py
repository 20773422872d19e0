"""A hostile client of gRPC: HTTP/2 frame by frame, so that it can do what no library's client does."""

from __future__ import annotations

import socket
import struct
from types import TracebackType
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4
INITIAL_WINDOW_SIZE = 4


class RawHttp2:
    """One connection that never reads by itself. `window`: bytes of each answer that the server may send."""

    def __init__(self, address: str, window: int = 65_535) -> None:
        host, _, port = address.partition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self._next_stream = 1
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, window)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.socket.close()

    def begin(self, method: str, message: bytes | None = None, num_calls: int = 1) -> None:
        """Calls of one method, `/service/name`; without a message they are only begun."""
        fields = {":method": "POST", ":scheme": "http", ":path": method, ":authority": "x"}
        fields |= {"te": "trailers", "content-type": "application/grpc"}
        head = b"".join(literal(name, value) for name, value in fields.items())
        frames = []
        for _ in range(num_calls):
            frames.append(frame(HEADERS, END_HEADERS, self._next_stream, head))
            if message is not None:
                framed = struct.pack(">BI", 0, len(message)) + message
                frames.append(frame(DATA, END_STREAM, self._next_stream, framed))
            self._next_stream += 2
        self.socket.sendall(b"".join(frames))


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """RFC 9113, section 4.1."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name: str, value: str) -> bytes:
    """A header that no table keeps (RFC 7541, section 6.2.2); name and value are short."""
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
