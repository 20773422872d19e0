"""Request bodies: read up to a limit, inflated up to the same limit, never trusted about their length."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from tasks.errors import BadInput, TooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Mapping[bytes, bytes]

GZIP_WINDOW, ZLIB_WINDOW, RAW_WINDOW = 31, 15, -15
COMPRESSION_LEVEL = 1
"""Tensors hardly compress; a higher level would only cost more of the core that the model needs."""
MIN_COMPRESSED_BYTES = 1024
MAX_DIGITS = 18
MAX_GZIP_MEMBERS = 16
"""What follows a member is copied, so a body of countless tiny ones would cost its length squared."""


class ClientDisconnected(Exception):
    """The client left before its request was complete or answered: there is nobody to answer."""


class UnreadBody(TooLarge):
    """Refused before all of it had come: the client may still be sending."""


async def read_body(receive: Receive, headers: Headers, max_bytes: int) -> bytes:
    """The whole body, inflated where `content-encoding` says so.

    Raises TooLarge as soon as the limit is crossed, BadInput for a bad encoding, ClientDisconnected.
    """
    declared = headers.get(b"content-length")
    if declared is not None and parse_length("Content-Length", declared) > max_bytes:
        raise UnreadBody(f"the body has {int(declared)} bytes; at most {max_bytes} are accepted")
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnected
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        body = await gather_chunks(receive, body, max_bytes)
    elif len(body) > max_bytes:
        raise TooLarge(f"the body has {len(body)} bytes; at most {max_bytes} are accepted")
    encoding = headers.get(b"content-encoding")
    if encoding is None:
        return body
    # A few kilobytes may inflate to the limit, which takes long enough to keep it off the event loop.
    return await asyncio.to_thread(inflate, body, encoding, max_bytes)


async def gather_chunks(receive: Receive, first: bytes, max_bytes: int) -> bytes:
    """The rest of a body that came in pieces, joined once."""
    chunks, size, more = [first], len(first), True
    while more:
        if size > max_bytes:
            raise UnreadBody(f"the body is larger than the {max_bytes} bytes that are accepted")
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunk = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
        more = message.get("more_body", False)
    if size > max_bytes:
        raise TooLarge(f"the body is larger than the {max_bytes} bytes that are accepted")
    return b"".join(chunks)


def parse_length(header: str, value: bytes) -> int:
    """A header that counts bytes. Raises BadInput unless it is a plain decimal number."""
    if not value.isdigit() or len(value) > MAX_DIGITS:
        raise BadInput(f"header {header} must be a number of bytes, got {value[:40].decode('latin-1')!r}")
    return int(value)


def inflate(body: bytes, encoding: bytes, max_bytes: int) -> bytes:
    """Undo a content encoding. Raises TooLarge while inflating, before the memory is spent, and BadInput."""
    name = encoding.strip().lower()
    if name in (b"identity", b""):
        return body
    if name in (b"gzip", b"x-gzip"):
        return inflate_members(body, GZIP_WINDOW, max_bytes)
    if name == b"deflate":
        # The standard means zlib's container, some clients send the bare stream; two bytes tell them apart (RFC 1950).
        has_container = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
        return inflate_members(body, ZLIB_WINDOW if has_container else RAW_WINDOW, max_bytes)
    raise BadInput(f"content encoding {encoding[:40].decode('latin-1')!r} is not known; send gzip, deflate or neither")


def inflate_members(body: bytes, window_bits: int, max_bytes: int) -> bytes:
    """A gzip file may be several, one after the other; anything else is one stream."""
    parts: list[bytes] = []
    left, rest = max_bytes, body
    while rest:
        stream = zlib.decompressobj(window_bits)
        try:
            part = stream.decompress(rest, left + 1)
        except zlib.error as error:
            raise BadInput(f"the body is not the compressed data that its encoding promises ({error})") from error
        left -= len(part)
        if left < 0:
            raise TooLarge(f"the body inflates to more than the {max_bytes} bytes that are accepted")
        if not stream.eof:
            raise BadInput("the compressed body ends too early")
        if stream.unused_data and (window_bits != GZIP_WINDOW or len(parts) >= MAX_GZIP_MEMBERS):
            raise BadInput(f"{len(stream.unused_data)} bytes follow the compressed body")
        parts.append(part)
        rest = stream.unused_data
    return b"".join(parts) if len(parts) != 1 else parts[0]


def accepted_encoding(headers: Headers) -> bytes | None:
    """The compression a client asks for (gzip before deflate), if any."""
    wanted = headers.get(b"accept-encoding")
    if wanted is None:
        return None
    names = set()
    for entry in wanted.lower().split(b","):
        name, _, quality = entry.partition(b";")
        if quality.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000"):
            names.add(name.strip())
    return next((name for name in (b"gzip", b"deflate") if name in names), None)


def deflate(body: bytes, encoding: bytes) -> bytes:
    """Apply a content encoding that `accepted_encoding` named."""
    window_bits = GZIP_WINDOW if encoding == b"gzip" else ZLIB_WINDOW
    stream = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, window_bits)
    return stream.compress(body) + stream.flush()
