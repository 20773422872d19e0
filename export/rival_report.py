"""A table of what another package is worth on the very examples of an export, beside what was exported."""

from __future__ import annotations

from collections.abc import Mapping

from export.table import format_table, percent
from registry.manifest import Better, Evidence, Manifest, PartName

PARTS: Mapping[PartName, str] = {"known": "of the champion's data", "added": "added"}
"""Part → which examples those are, behind their number."""


def format_rivals(manifest: Manifest) -> str:
    """A row for each variant, and one for each part of the examples; empty where nothing was tried beside it."""
    return "\n\n".join(format_rival(manifest, *rival) for rival in manifest.rivals.items())


def format_rival(manifest: Manifest, digest: str, theirs: Mapping[str, Evidence]) -> str:
    """As promotion pairs them: a variant that the other package lacks stands beside its first."""
    ours = {name: variant.evidence for name, variant in manifest.variants.items()}
    first, metric = next(iter(theirs.values())), next(iter(ours.values())).metric
    rows = []
    for name, each in ours.items():
        other = theirs.get(name, first)
        rows.append([name, *(spell(one.metrics[metric], each.better) for one in (other, each))])
        for part, found in each.parts.get(digest, {}).items():
            row = f"{name}, {found.num_examples} {PARTS[part]}"
            rows.append([row, *(spell(value, each.better) for value in (found.rival, found.variant))])
    note = f"{metric} on the same {first.num_examples} held-out examples"
    return f"{format_table(['variant', 'champion', 'this version'], rows)}\n{note}"


def spell(value: float, better: Better) -> str:
    """A share, or what is better the lower it is."""
    return percent(value) if better == "higher" else f"{value:.4f}"
