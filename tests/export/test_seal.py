"""Which variant a server takes first."""

from __future__ import annotations

import pytest

from export.compress.half_precision import Fp16
from export.compress.int8_static import Int8Static
from export.seal import order_by_speed, order_variants
from registry.manifest import Evidence


def evidence(latency_ms: float, agreement: float) -> Evidence:
    return Evidence(
        metric="accuracy",
        num_examples=1,
        metrics={"decision_agreement": agreement},
        per_class=(),
        latency_ms={"1": latency_ms},
        num_bytes=1,
        gates=(),
    )


@pytest.mark.parametrize(("int8_ms", "first"), [(5.0, "int8"), (9.0, "fp32"), (11.0, "fp32"), (30.0, "fp32")])
def test_int8_goes_first_only_if_clearly_faster(int8_ms: float, first: str) -> None:
    variants = {"int8": evidence(int8_ms, 0.99), "fp32": evidence(10.0, 1.0)}
    assert order_by_speed(variants)[0] == first


def test_variants_for_a_gpu_go_first_however_slow_they_were_here() -> None:
    variants = {"fp32": evidence(10.0, 1.0), "int8": evidence(5.0, 0.99), "fp16": evidence(40.0, 1.0)}
    steps = {"fp32": (), "int8": (Int8Static(),), "fp16": (Fp16(),)}
    assert order_variants(variants, steps) == ["fp16", "int8", "fp32"]
