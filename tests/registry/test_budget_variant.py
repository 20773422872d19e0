"""Budgets are held against a variant whose speed was measured on hardware that it is meant for."""

from __future__ import annotations

from pathlib import Path

import msgspec

from registry.gates import PromotionPolicy, judge
from registry.manifest import Requirements
from registry.package import MANIFEST_NAME, seal_package
from tests.tiny_language import build_language_package


def test_variants_for_a_gpu_have_no_part_in_the_latency_budget(tmp_path: Path) -> None:
    package = build_language_package(tmp_path / "package")
    plain = package.variant("fp32")
    slow = msgspec.structs.replace(plain.evidence, latency_ms={"1": 900.0})
    for_gpu = msgspec.structs.replace(plain, requires=Requirements(provider="cuda"), evidence=slow)
    (package.folder / MANIFEST_NAME).unlink()
    variants = {"fp16": for_gpu, "fp32": plain}
    package = seal_package(package.folder, msgspec.structs.replace(package.manifest, variants=variants, files={}))
    gates = {gate.name: gate for gate in judge(package, None, PromotionPolicy(max_latency_ms=1.0))}
    assert gates["latency_ms"].passed
    assert gates["latency_ms"].detail == "of fp32"
