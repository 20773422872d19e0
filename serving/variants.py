"""Which variant of a package runs on this host."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from registry.package import ModelPackage
from serving.runtimes.onnx_runtime import available_providers
from tasks.errors import NotReady

AUTO = "auto"


@dataclass(frozen=True)
class HostFacts:
    """What this machine offers. `cpu_features` in the words of /proc/cpuinfo; providers are cpu and cuda."""

    cpu_features: Collection[str]
    providers: Collection[str]


def detect_host(cpuinfo: Path = Path("/proc/cpuinfo")) -> HostFacts:
    return HostFacts(cpu_features=read_cpu_features(cpuinfo), providers=available_providers())


def read_cpu_features(cpuinfo: Path) -> frozenset[str]:
    """The flags of the first processor ("Features" on ARM); none where the file does not exist."""
    if not cpuinfo.is_file():
        return frozenset()
    for line in cpuinfo.read_text().splitlines():
        name, _, words = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(words.split())
    return frozenset()


def choose_variant(package: ModelPackage, wanted: str, host: HostFacts) -> str:
    """`wanted`: a variant's name, or auto for the first that this host can run and whose gates passed.

    Raises NotReady saying why each candidate was passed over.
    """
    names = list(package.manifest.variants) if wanted == AUTO else [wanted]
    obstacles = {name: find_obstacle(package, name, host) for name in names}
    for name, obstacle in obstacles.items():
        if not obstacle:
            return name
    reasons = "; ".join(f"{name}: {obstacle}" for name, obstacle in obstacles.items())
    raise NotReady(f"no variant of {package.manifest.name!r} can run here: {reasons}")


def find_obstacle(package: ModelPackage, name: str, host: HostFacts) -> str:
    """Why a variant may not run on this host; empty if it may."""
    variants = package.manifest.variants
    if name not in variants:
        return f"the package has no such variant, it has {', '.join(variants)}"
    variant = variants[name]
    if variant.requires.provider not in host.providers:
        return f"it needs {variant.requires.provider}, this ONNX Runtime offers {', '.join(sorted(host.providers))}"
    missing = sorted(set(variant.requires.cpu_features) - set(host.cpu_features))
    if missing:
        return f"it needs a processor with {', '.join(missing)}"
    failed = [gate.name for gate in variant.evidence.gates if not gate.passed]
    return f"it did not pass {', '.join(failed)}" if failed else ""


def any_host(package: ModelPackage) -> HostFacts:
    """Of a variant that runs elsewhere: what it takes is there or is missed there, this machine has no say in it."""
    variants = package.manifest.variants.values()
    features = {feature for variant in variants for feature in variant.requires.cpu_features}
    return HostFacts(cpu_features=features, providers=("cpu", "cuda"))
