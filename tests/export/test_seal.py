"""Which variant a server takes first."""

from __future__ import annotations

import pytest

from export.seal import order_by_speed
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
