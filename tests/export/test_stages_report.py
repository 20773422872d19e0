"""The table of what coded variants take at each step."""

from __future__ import annotations

from export.stages_report import format_stages
from registry.manifest import Evidence


def evidence(metrics: dict[str, float]) -> Evidence:
    return Evidence(
        metric="accuracy", num_examples=1, metrics=metrics, per_class=(), latency_ms={}, num_bytes=1, gates=()
    )


def test_coded_variants_show_their_ratio_at_every_step_and_others_nothing() -> None:
    sizes = {"dense": 4_000_000.0, "pruned": 1_000_000.0, "clustered": 200_000.0, "coded": 100_000.0}
    coded = evidence({f"stored_bytes_{stage}": size for stage, size in sizes.items()})
    lines = format_stages({"fp32": evidence({}), "deep": coded}).splitlines()
    assert lines[0].split() == ["stored", "coded", "dense", "pruned", "clustered", "coded"]
    assert [line.split()[0] for line in lines[2:]] == ["deep"]
    for text in ("4.00 MB (1.0×)", "1.00 MB (4.0×)", "0.20 MB (20.0×)", "0.10 MB (40.0×)"):
        assert text in lines[2]
    assert format_stages({"fp32": evidence({})}) == ""
