"""The tables that a user reads after an export."""

from __future__ import annotations

import pytest

from export.report import format_missed, format_variants
from export.table import format_table
from registry.manifest import ClassEvidence, Evidence, GateResult


def evidence(num_bytes: int, latency_ms: dict[str, float], passed: bool = True) -> Evidence:
    return Evidence(
        metric="accuracy",
        num_examples=300,
        metrics={
            "accuracy": 0.9,
            "trained_accuracy": 0.95,
            "decision_agreement": 0.97,
            "expected_calibration_error": 0.02,
            "trained_expected_calibration_error": 0.01,
        },
        per_class=(
            ClassEvidence(label="cat", support=9, trained=1, variant=0.5, difference_low=-0.8, difference_high=-0.1),
            ClassEvidence(label="dog", support=9, trained=1, variant=1, difference_low=-0.2, difference_high=0.2),
            ClassEvidence(label="eel", support=0, trained=0, variant=0, difference_low=-1, difference_high=1),
        ),
        latency_ms=latency_ms,
        num_bytes=num_bytes,
        gates=(GateResult(name="class_drop", value=0.1, limit=0.01, passed=passed),),
    )


def test_variants_beside_the_trained_model() -> None:
    table = format_variants({"int8": evidence(3_200, {"1": 1.5}), "fp32": evidence(45_000_000, {"1": 4, "16": 50})})
    header, _, trained, int8, fp32, note = table.splitlines()
    assert "cat -50.00" in int8
    assert header.split("  ")[0] == "variant"
    assert "95.00 %" in trained
    assert ("3.2 kB" in int8, "45.00 MB" in fp32) == (True, True)
    assert (int8.split()[-1], fp32.split()[-1]) == ("1.50", "50.00")
    assert note.startswith("300 held-out examples")


def test_missed_gates_name_the_harmed_class() -> None:
    text = format_missed({"int8": evidence(10, {}, passed=False), "fp32": evidence(10, {})})
    assert "class_drop" in text
    assert (
        "worst classes cat 100.00 % → 50.00 % (95 % interval of the change -80.0 to -10.0 points, 9 examples)" in text
    )
    assert "eel" not in text
    assert "fp32" not in text


@pytest.mark.parametrize("rows", [[], [["a", "1"], ["longer", "22"]]])
def test_columns_line_up(rows: list[list[str]]) -> None:
    lines = format_table(["name", "figure"], rows).splitlines()
    assert len({len(line) for line in lines}) == 1
