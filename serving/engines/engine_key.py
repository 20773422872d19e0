"""What an engine belongs to: it is of use where every one of these facts is the same, and nowhere else."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

from registry.manifest import Name, Sha256
from serving.runtimes.fp32_products import Fp32Products

PROCEDURE = 1
"""Raised when engines are built in another way, so that those of before are not used any more."""

OptimizationLevel = Annotated[int, msgspec.Meta(ge=0, le=5)]


class EngineHost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an engine is tuned to. `compute_capability` like "9.0". Two parts of one GPU may differ in their number of
    multiprocessors only, and kernels are chosen by that."""

    gpu: str
    compute_capability: str
    num_multiprocessors: int
    tensorrt: str


class BuildSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What whoever builds may choose. `optimization_level`: how long TensorRT looks for fast kernels, 0 to 5."""

    fp32_products: Fp32Products = "fp32"
    optimization_level: OptimizationLevel = 3


class EngineKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One engine: a graph of one package, on one kind of host, built in one way. Profiles and precision are facts of
    the package, so that its digest stands for them."""

    package: Sha256
    variant: Name
    role: Name
    host: EngineHost
    settings: BuildSettings
    procedure: int = PROCEDURE

    @property
    def folder(self) -> str:
        """Where in a cache: the package, then a name that says what it is and differs wherever a fact differs."""
        facts = hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()
        return f"{self.package}/{self.variant}-{self.role}-{facts[:16]}"

    @property
    def timing_file(self) -> str:
        """Where in a cache the times of kernels lie that all engines of the same host share."""
        facts = hashlib.sha256(msgspec.json.encode(self.host, order="sorted")).hexdigest()
        return f"timing/{facts[:16]}.cache"
