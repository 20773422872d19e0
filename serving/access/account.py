"""What the server keeps of one caller between requests: its rate and its numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import monotonic

from serving.access.caller import Caller
from serving.access.counts import AccessCounts, Reason
from serving.access.token_bucket import TokenBucket
from tasks.errors import Overloaded


@dataclass(frozen=True, slots=True)
class Account:
    """`digest`: of the key's secret. `bucket`: None for a caller who may ask as often as he likes."""

    caller: Caller
    counts: AccessCounts
    digest: bytes = b""
    bucket: TokenBucket | None = None

    def charge(self) -> None:
        """One request. Raises Overloaded, with when to come back, for one too many."""
        wait_s = self.bucket.take(monotonic()) if self.bucket else 0.0
        if self.bucket and wait_s:
            self.counts.refuse(Reason.RATE, self.caller.name)
            rate = f"key {self.caller.name!r} may ask {self.bucket.rate:g} times a second"
            raise Overloaded(f"{rate}; try again in {wait_s:.2g} s", math.ceil(wait_s))
        self.counts.admit(self.caller.name)
