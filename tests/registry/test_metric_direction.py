"""Metrics that are better the lower they are: a rise is what a promotion holds against a version."""

from __future__ import annotations

import msgspec
import pytest

from registry.gates import PromotionPolicy, judge
from registry.manifest import Evidence
from registry.package import MANIFEST_NAME, ModelPackage, seal_package
from tests.tiny_language import build_language_package


def evidence(bits_per_byte: float, better: str = "lower") -> Evidence:
    return Evidence(
        metric="bits_per_byte",
        better=better,  # type: ignore[arg-type]
        num_examples=10,
        metrics={"bits_per_byte": bits_per_byte},
        per_class=(),
        latency_ms={},
        num_bytes=1,
        gates=(),
    )


def test_a_rise_is_a_loss_in_shares_of_what_it_was() -> None:
    assert evidence(2.02).loss_against(evidence(2.0)) == pytest.approx(0.01)
    assert evidence(1.9).loss_against(evidence(2.0)) < 0
    assert evidence(0.9, "higher").loss_against(evidence(0.95, "higher")) == pytest.approx(0.05)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return build_language_package(tmp_path_factory.mktemp("language") / "package")


def with_evidence(package: ModelPackage, found: Evidence) -> ModelPackage:
    variant = msgspec.structs.replace(package.variant("fp32"), evidence=found)
    (package.folder / MANIFEST_NAME).unlink(missing_ok=True)
    manifest = msgspec.structs.replace(package.manifest, variants={"fp32": variant}, files={})
    return seal_package(package.folder, manifest)


@pytest.mark.parametrize(("bits_per_byte", "holds"), [(1.5, True), (2.0, True), (2.01, True), (2.02, False)])
def test_promotion_lets_bits_per_byte_fall_but_not_rise(built: ModelPackage, bits_per_byte: float, holds: bool) -> None:
    champion = with_evidence(built, evidence(2.0))
    gates = {
        gate.name: gate for gate in judge(with_evidence(built, evidence(bits_per_byte)), champion, PromotionPolicy())
    }
    assert gates["metric_drop"].passed == holds


def test_a_metric_that_changed_its_direction_can_not_be_compared(built: ModelPackage) -> None:
    champion = with_evidence(built, evidence(2.0, "higher"))
    gates = {gate.name: gate for gate in judge(with_evidence(built, evidence(2.0)), champion, PromotionPolicy())}
    assert not gates["incomparable_variants"].passed
