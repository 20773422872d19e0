"""The table of what compression techniques save and cost: one row for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from export.table import format_table, megabytes, percent
from registry.manifest import ClassEvidence, Evidence

FLOAT = "fp32"
Timings = Mapping[str, Mapping[int, float]]
"""Variant → batch size → median milliseconds."""


@dataclass(frozen=True)
class Tried:
    """All variants of one model, tried together. `for_gpu`: those whose speed means nothing on this machine."""

    evidence: Mapping[str, Evidence]
    timings_ms: Timings
    for_gpu: frozenset[str]

    def speedup(self, name: str, batch: int) -> float:
        """How many times as fast as float32."""
        return self.timings_ms[FLOAT][batch] / self.timings_ms[name][batch]


def format_tried(tried: Tried, batches: Sequence[int]) -> str:
    """One row for each technique, float32 first."""
    plain = tried.evidence[FLOAT]
    is_share = plain.better == "higher"
    header = ["technique", "size", "", *[h for s in batches for h in (f"ms at batch {s}", "")], plain.metric]
    rows = []
    for name, each in tried.evidence.items():
        timed = [
            cell
            for size in batches
            for cell in (
                ("GPU", "")
                if name in tried.for_gpu
                else (f"{tried.timings_ms[name][size]:.2f}", f"{tried.speedup(name, size):.2f}×")
            )
        ]
        metric = each.metrics[each.metric]
        missed = ", ".join(gate.name for gate in each.gates if not gate.passed)
        rows.append(
            [
                name,
                megabytes(each.num_bytes),
                f"{plain.num_bytes / each.num_bytes:.1f}×",
                *timed,
                percent(metric) if is_share else f"{metric:.4f}",
                worst_class(each.per_class),
                missed,
            ]
        )
    return format_table([*header, "worst class", "misses"], rows)


def worst_class(per_class: Sequence[ClassEvidence]) -> str:
    """The class that lost most, with what it lost."""
    seen = [each for each in per_class if each.support]
    if not seen:
        return ""
    worst = min(seen, key=lambda each: each.variant - each.trained)
    return f"{worst.label}: {percent(worst.trained)} → {percent(worst.variant)}"
