from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from registry.manifest import GateResult, Requirements
from registry.package import ModelPackage
from serving.variants import HostFacts, any_host, choose_variant, read_cpu_features
from tasks.errors import NotReady

HOST = HostFacts(cpu_features=frozenset({"avx2", "fma"}), providers=frozenset({"cpu"}))


def with_variants(package: ModelPackage, *, gate: bool = True) -> ModelPackage:
    """int8 for processors with VNNI, fp16 for CUDA, then fp32 for everybody; all copies of the same graph."""
    replace = msgspec.structs.replace
    fp32 = package.manifest.variants["fp32"]
    gates = (GateResult(name="accuracy_drop", value=0.1, limit=0.01, passed=gate),)
    variants = {
        "int8": replace(fp32, requires=Requirements(cpu_features=("avx2", "avx512_vnni"))),
        "fp16": replace(fp32, requires=Requirements(provider="cuda")),
        "fp32": replace(fp32, evidence=replace(fp32.evidence, gates=gates)),
    }
    return ModelPackage(package.folder, replace(package.manifest, variants=variants), package.digest)


def test_auto_takes_the_first_that_this_host_can_run(package: ModelPackage) -> None:
    several = with_variants(package)
    assert choose_variant(several, "auto", HOST) == "fp32"
    with_vnni = HostFacts(frozenset({"avx2", "avx512_vnni"}), frozenset({"cpu"}))
    assert choose_variant(several, "auto", with_vnni) == "int8"
    with_gpu = HostFacts(frozenset({"avx2"}), frozenset({"cpu", "cuda"}))
    assert choose_variant(several, "auto", with_gpu) == "fp16"


def test_where_a_variant_runs_elsewhere_this_host_has_no_say(package: ModelPackage) -> None:
    several = with_variants(package)
    assert choose_variant(several, "auto", any_host(several)) == "int8"
    assert choose_variant(several, "fp16", any_host(several)) == "fp16"


def test_a_variant_by_name_is_taken_or_refused_never_exchanged(package: ModelPackage) -> None:
    several = with_variants(package)
    assert choose_variant(several, "fp32", HOST) == "fp32"
    with pytest.raises(NotReady, match="avx512_vnni"):
        choose_variant(several, "int8", HOST)
    with pytest.raises(NotReady, match="it needs cuda"):
        choose_variant(several, "fp16", HOST)
    with pytest.raises(NotReady, match="no such variant, it has int8, fp16, fp32"):
        choose_variant(several, "int4", HOST)


def test_a_variant_that_failed_a_gate_is_not_served(package: ModelPackage) -> None:
    with pytest.raises(NotReady, match="fp32: it did not pass accuracy_drop") as refused:
        choose_variant(with_variants(package, gate=False), "auto", HOST)
    assert "int8: it needs a processor with avx512_vnni" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "features"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 fma\n\nprocessor\t: 1\nflags\t\t: fpu\n", {"fpu", "avx2", "fma"}),
        ("processor\t: 0\nFeatures\t: fp asimd\n", {"fp", "asimd"}),
        ("model name\t: mystery\n", set()),
    ],
)
def test_cpu_features_are_read_from_the_kernel(tmp_path: Path, text: str, features: set[str]) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert read_cpu_features(tmp_path / "cpuinfo") == features
    assert read_cpu_features(tmp_path / "absent") == frozenset()
