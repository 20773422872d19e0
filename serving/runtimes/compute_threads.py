"""What can be said about the threads that compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Between = Literal["sleep", "spin"]
"""What they do between two operators of a run: give their cores to whoever wants them, or keep these and be there at
once."""


@dataclass(frozen=True)
class ComputeThreads:
    """Those of one run of one graph."""

    number: int = 1
    between_operators: Between = "sleep"


ONE_THREAD = ComputeThreads()
