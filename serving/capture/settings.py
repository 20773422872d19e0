"""The bounds of capture."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """`root`: the folder."""

    root: Path
    budget_bytes: int
    retention: timedelta
