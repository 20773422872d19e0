"""Clients of gRPC that leave while something is sent to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import grpc


@contextmanager
def as_cancelled() -> Iterator[None]:
    """Around what sends. gRPC cancels the call of a client who has left; in between it says of what is being sent that
    this failed, which is the same to us: no fault, and nothing that strangers should be able to fill a log with.

    Raises CancelledError for it, as gRPC ends calls without a word.
    """
    try:
        yield
    except grpc.aio.InternalError as error:
        raise asyncio.CancelledError from error
