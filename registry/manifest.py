"""The manifest: every fact about a model package, typed. Written once at export, read by everybody else."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tasks.task import TensorSpec

SCHEMA_VERSION = 1
Precision = Literal["fp32", "fp16", "bf16", "int8", "int4"]


class FileRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file of the package must be, byte for byte."""

    sha256: str
    num_bytes: int


class Graph(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ONNX file. Tensor shapes carry −1 for the batch axis; `data_files` hold weights stored beside the graph."""

    file: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    data_files: tuple[str, ...] = ()


class Requirements(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a host must have to run a variant. `cpu_features` in the words of /proc/cpuinfo."""

    provider: Literal["cpu", "cuda"] = "cpu"
    cpu_features: tuple[str, ...] = ()


class GoldenOutputs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the graph answered to the golden inputs at export: an .npz of [inputs, …] per output, and how far a host
    may differ from it, as the largest absolute difference per output."""

    file: str
    max_abs_difference: dict[str, float]


class ClassEvidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One class before and after compression, in the task's own metric, with a 95 % interval of the difference."""

    label: str
    support: int
    trained: float
    variant: float
    difference_low: float
    difference_high: float


class GateResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One check with the figure it saw and the limit it held it to."""

    name: str
    value: float
    limit: float
    passed: bool


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a variant may be trusted: measured on `num_examples` held-out examples against the trained model.

    `metrics` has the task's own metric under its name, and `trained_<metric>` for the model before export.
    `latency_ms`: batch size → median single-thread latency on the exporting host.
    """

    metric: str
    num_examples: int
    metrics: dict[str, float]
    per_class: tuple[ClassEvidence, ...]
    latency_ms: dict[str, float]
    num_bytes: int
    gates: tuple[GateResult, ...]

    @property
    def passed(self) -> bool:
        """Did every gate of the export hold?"""
        return all(gate.passed for gate in self.gates)


class Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to run the model. `graphs` by role: main, or encoder, decoder, cache operations."""

    precision: Precision
    graphs: dict[str, Graph]
    requires: Requirements
    golden: GoldenOutputs
    evidence: Evidence
    profile: str


class Lineage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the model came from."""

    created_at: str
    source: str
    dataset_digest: str = ""
    git_commit: str = ""
    run_id: str = ""
    recipe: dict[str, Any] = {}
    versions: dict[str, str] = {}


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of `manifest.json`. Paths are relative to the package folder and use forward slashes.

    `variants` is ordered: the first whose requirements a host meets and whose gates passed is the one to run.
    `files` lists every file of the folder except the manifest itself.
    """

    name: str
    task: dict[str, Any]
    image_sizes: tuple[tuple[int, int], ...]
    batch_buckets: tuple[int, ...]
    variants: dict[str, Variant]
    golden_inputs: tuple[str, ...]
    lineage: Lineage
    files: dict[str, FileRecord] = {}
    schema_version: int = SCHEMA_VERSION
