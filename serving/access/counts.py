"""Plain numbers of who was let in and who was not, and why; access_metrics.py shows them."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why somebody was turned away."""

    MISSING = "missing"
    """No key was sent."""
    UNKNOWN = "unknown"
    """What was sent is no key of this server."""
    ROLE = "role"
    """A known key, but the call needs an administrator."""
    RATE = "rate"
    """A known key that asks more often than it may."""


class AccessCounts:
    """Of one server. Written on the event loop, read by whoever scrapes."""

    def __init__(self) -> None:
        self.refused = dict.fromkeys(Reason, 0)

    def refuse(self, reason: Reason) -> None:
        self.refused[reason] += 1
