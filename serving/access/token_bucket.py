"""How often somebody may ask: a bucket of tokens that fills by the second, of which each request takes one."""

from __future__ import annotations


class TokenBucket:
    """`rate`: tokens a second. It holds those of one second, and one at least, so that a slow rate lets anybody in.

    Times are seconds of any clock that only goes forward.
    """

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._capacity = max(1.0, rate)
        self._tokens, self._counted_at = self._capacity, now

    def take(self, now: float) -> float:
        """Takes a token and returns 0; or takes none and returns the seconds until there is one."""
        self._tokens = min(self._capacity, self._tokens + (now - self._counted_at) * self.rate)
        self._counted_at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self.rate
