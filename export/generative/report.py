"""Tables of what a generative export measured, as plain text."""

from __future__ import annotations

from collections.abc import Mapping

from export.table import format_table, megabytes, percent, worst_class
from registry.manifest import Evidence

SPOKEN = {"exact_match": "exact match", "cider": "CIDEr"}
"""Figures of captions, and what they are called."""


def format_variants(variants: Mapping[str, Evidence]) -> str:
    """One row for each variant, with the trained model first."""
    first = next(iter(variants.values()))
    sizes = sorted({int(size) for each in variants.values() for size in each.latency_ms})
    spoken = [name for name in SPOKEN if name in first.metrics]
    header = [
        "variant",
        "bits/byte",
        "perplexity",
        *(SPOKEN[name] for name in spoken),
        "agreement",
        "worst tokens",
        "size",
        *(f"ms a token, {s} at once" for s in sizes),
    ]
    trained = ["trained", *figures(first, "trained_"), *say(first, "trained_"), "", "", "", *[""] * len(sizes)]
    rows = [
        [
            name,
            *figures(each, ""),
            *say(each, ""),
            percent(each.metrics["decision_agreement"]),
            worst_class(each.per_class).replace(" tokens", ""),
            megabytes(each.num_bytes),
            *("" if (ms := each.latency_ms.get(str(size))) is None else f"{ms:.2f}" for size in sizes),
        ]
        for name, each in variants.items()
    ]
    notes = (
        f"{first.num_examples} held-out passages; agreement: share of their tokens where the trained model expects the "
        "same one; worst tokens: by how common they are, with the change of the share that is right, in points",
        f"{first.metrics['num_continuations']:.0f} prompts continued greedily; a token's time is the median of one "
        "thread on this host",
    )
    return "\n".join([format_table(header, [trained, *rows]), *notes])


def figures(evidence: Evidence, prefix: str) -> list[str]:
    return [f"{evidence.metrics[prefix + 'bits_per_byte']:.4f}", f"{evidence.metrics[prefix + 'perplexity']:.3f}"]


def say(evidence: Evidence, prefix: str) -> list[str]:
    """What captions are worth; nothing for a model of texts."""
    return [f"{evidence.metrics[prefix + name]:.3f}" for name in SPOKEN if name in evidence.metrics]


def format_missed(variants: Mapping[str, Evidence]) -> str:
    """Every gate that did not hold."""
    rows = [
        [name, gate.name, f"{gate.value:.6g}", f"{gate.limit:.6g}", gate.detail]
        for name, evidence in variants.items()
        for gate in evidence.gates
        if not gate.passed
    ]
    return format_table(["variant", "missed", "value", "limit", ""], rows)
