"""A table of what another package is worth on the very examples of an export, beside what was exported."""

from __future__ import annotations

from collections.abc import Mapping

from export.table import format_table, percent
from registry.manifest import Evidence, Manifest


def format_rivals(manifest: Manifest) -> str:
    """A row for each variant; empty where nothing was tried beside it."""
    return "\n\n".join(format_rival(manifest, theirs) for theirs in manifest.rivals.values())


def format_rival(manifest: Manifest, theirs: Mapping[str, Evidence]) -> str:
    """As promotion pairs them: a variant that the other package lacks stands beside its first."""
    ours = {name: variant.evidence for name, variant in manifest.variants.items()}
    first, metric = next(iter(theirs.values())), next(iter(ours.values())).metric
    rows = [[name, spell(theirs.get(name, first)), spell(each)] for name, each in ours.items()]
    note = f"{metric} on the same {first.num_examples} held-out examples"
    return f"{format_table(['variant', 'champion', 'this version'], rows)}\n{note}"


def spell(evidence: Evidence) -> str:
    """The metric's value: a share, or what is better the lower it is."""
    value = evidence.metrics[evidence.metric]
    return percent(value) if evidence.better == "higher" else f"{value:.4f}"
