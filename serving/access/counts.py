"""Plain numbers of who was let in and who was not, and why; access_metrics.py shows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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
    CROWD = "crowd"
    """No key, and as many calls without one are open already as may be."""
    SILENT = "silent"
    """No key, and no message either."""
    LONG = "long"
    """No key, and a message that is longer than what may be asked without one."""


@dataclass(slots=True)
class KeyCounts:
    """Requests of one key by what became of them."""

    num_admitted: int = 0
    num_over_rate: int = 0
    num_without_role: int = 0


class AccessCounts:
    """Of one server. Written on the event loop, read by whoever scrapes.

    `keys`: by name, those of the key file and no others, however many names a file has had.
    """

    def __init__(self) -> None:
        self.refused = dict.fromkeys(Reason, 0)
        self.keys: dict[str, KeyCounts] = {}
        self.key_file_ok = True
        self.certificate_ok = True
        self.certificate_ends_at: float | None = None
        """Of the one that is shown, in seconds since the epoch; None where nothing is encrypted, or its end
        can not be read."""

    def know_keys(self, names: Iterable[str]) -> None:
        """The names of the key file as it is now. Those that stay keep their numbers."""
        self.keys = {name: self.keys.get(name, KeyCounts()) for name in names}

    def admit(self, name: str) -> None:
        """A request of the key of this name; empty or unknown names have no numbers of their own."""
        if (key := self.keys.get(name)) is not None:
            key.num_admitted += 1

    def refuse(self, reason: Reason, name: str = "") -> None:
        self.refused[reason] += 1
        if (key := self.keys.get(name)) is not None:
            key.num_over_rate += reason is Reason.RATE
            key.num_without_role += reason is Reason.ROLE
