"""What coded variants take on disk at each step of Deep Compression, as plain text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from export.compress.storage_stages import StorageStages
from export.stored_graphs import STAGE_METRIC
from export.table import format_table, megabytes
from registry.manifest import Evidence

STAGES = tuple(field.name for field in fields(StorageStages))


def format_stages(variants: Mapping[str, Evidence]) -> str:
    """One row for each variant that is stored coded; empty where none is."""
    coded = {name: each.metrics for name, each in variants.items() if f"{STAGE_METRIC}{STAGES[-1]}" in each.metrics}
    if not coded:
        return ""
    rows = []
    for name, metrics in coded.items():
        sizes = [metrics[f"{STAGE_METRIC}{stage}"] for stage in STAGES]
        rows.append([name, *(f"{megabytes(int(size))} ({sizes[0] / size:.1f}×)" for size in sizes)])
    return format_table(["stored coded", *STAGES], rows)
