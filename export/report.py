"""Tables of what an export measured, as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from export.forgotten import read_forgotten
from export.forgotten_report import format_forgotten
from export.generative.report import format_variants as format_generative
from export.rival_report import format_rivals
from export.stages_report import format_stages
from export.table import format_table, megabytes, percent, worst_class
from registry.manifest import ClassEvidence, Evidence
from registry.package import ModelPackage
from tasks.generative_spec import GenerativeSpec

NUM_WORST_CLASSES = 3


def format_report(package: ModelPackage) -> str:
    """The variants of a package, in the order in which a server prefers them."""
    evidence = {name: variant.evidence for name, variant in package.manifest.variants.items()}
    table = format_generative(evidence) if isinstance(package.task_spec, GenerativeSpec) else format_variants(evidence)
    read = {name: read_forgotten(package.folder, name) for name in evidence}
    forgotten = {name: each for name, each in read.items() if each is not None}
    beside = format_rivals(package.manifest)
    parts = [table, beside, format_stages(evidence), format_forgotten(forgotten) if forgotten else ""]
    return "\n\n".join(part for part in parts if part)


def format_variants(variants: Mapping[str, Evidence]) -> str:
    """One row for each variant, with the trained model first."""
    first = next(iter(variants.values()))
    sizes = sorted({int(size) for each in variants.values() for size in each.latency_ms})
    header = ["variant", first.metric, "agreement", "calibration error", "worst class", "size"]
    header += [f"ms at batch {size}" for size in sizes]
    trained = [
        "trained",
        percent(first.metrics[f"trained_{first.metric}"]),
        "",
        percent(first.metrics["trained_expected_calibration_error"]),
        *[""] * (2 + len(sizes)),
    ]
    rows = [trained, *(variant_row(name, evidence, sizes) for name, evidence in variants.items())]
    note = (
        f"{first.num_examples} held-out examples; worst class: with its change in points; latency is the median of one "
        "thread on this host"
    )
    return f"{format_table(header, rows)}\n{note}"


def variant_row(name: str, evidence: Evidence, sizes: Sequence[int]) -> list[str]:
    latencies = [evidence.latency_ms.get(str(size)) for size in sizes]
    return [
        name,
        percent(evidence.metrics[evidence.metric]),
        percent(evidence.metrics["decision_agreement"]),
        percent(evidence.metrics["expected_calibration_error"]),
        worst_class(evidence.per_class),
        megabytes(evidence.num_bytes),
        *("" if ms is None else f"{ms:.2f}" for ms in latencies),
    ]


def format_missed(variants: Mapping[str, Evidence]) -> str:
    """Every gate that did not hold, with the classes that lost most of the variants concerned."""
    rows = [
        [name, gate.name, f"{gate.value:.6g}", f"{gate.limit:.6g}", gate.detail]
        for name, evidence in variants.items()
        for gate in evidence.gates
        if not gate.passed
    ]
    harmed = [f"{name}: {worst_classes(each.per_class)}" for name, each in variants.items() if not each.passed]
    return "\n".join([format_table(["variant", "missed", "value", "limit", ""], rows), *harmed])


def worst_classes(per_class: Sequence[ClassEvidence]) -> str:
    """The classes that lost most, with their intervals."""
    seen = [each for each in per_class if each.support]
    ordered = sorted(seen, key=lambda each: each.variant - each.trained)[:NUM_WORST_CLASSES]
    lines = [
        f"{each.label} {percent(each.trained)} → {percent(each.variant)} "
        f"(95 % interval of the change {each.difference_low * 100:+.1f} to {each.difference_high * 100:+.1f} points, "
        f"{each.support} examples)"
        for each in ordered
    ]
    return "worst classes " + "; ".join(lines)
