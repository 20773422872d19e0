"""What capture did, as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

OUTCOMES = ("kept", "dropped", "failed")


@dataclass
class CaptureStatistics:
    """All models of a server. Written by the event loop and by capture's thread."""

    outcomes: dict[tuple[str, str], int] = field(default_factory=dict)
    """(model, outcome) → answers and labels: kept; dropped, because the queue was full; failed, because the disk was
    full, the folder could not be written to, or the budget is too small."""
    folder_bytes: int = 0
    """What the folder held when it was last looked at, and what was written since."""
    num_removed: int = 0
    """Batches that were too old or had to make room."""
    _lock: Lock = field(default_factory=Lock, repr=False)

    def count(self, model: str, outcome: str, num_items: int = 1) -> None:
        """So many answers or labels ended so."""
        with self._lock:
            self.outcomes[model, outcome] = self.outcomes.get((model, outcome), 0) + num_items
