"""What one feedback comes to: numbers to be counted, what its sender is told, and the truth as capture keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Cell(NamedTuple):
    """One number of one version. `family`: of metrics, see feedback_metrics.py; `label`: one of the model's own."""

    family: str
    label: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`told`: JSON object of the answer; `truth`: JSON object, and `mask` a PNG, as docs/capture.md describes them."""

    told: Mapping[str, Any]
    truth: Mapping[str, Any]
    counts: Mapping[Cell, float] = field(default_factory=dict)
    observed: Mapping[str, float] = field(default_factory=dict)
    """Family of histograms → a value from 0 to 1."""
    mask: bytes = b""
