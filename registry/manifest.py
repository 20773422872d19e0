"""The manifest: every fact about a model package, typed. Written once at export, read by everybody else.

Reading is strict: an unknown field, a wrong type or a figure out of range is an error that names the field.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

import msgspec

from tasks.task import TensorSpec

SCHEMA_VERSION = 1
Precision = Literal["fp32", "fp16", "bf16", "int8", "int4"]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
"""Of a model, a variant, a role: safe in a URL, a metric label and a file system."""
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Better = Literal["higher", "lower"]
Difference = Annotated[float, msgspec.Meta(ge=0)]
SMALLEST = 1e-9
"""Nothing is divided by less."""


class FileRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file of the package must be, byte for byte."""

    sha256: Sha256
    num_bytes: Count


class DecodedFiles(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a coded graph decodes to, byte for byte: an ONNX file, and the file of weights that it refers to."""

    graph: FileRecord
    weights: FileRecord


class Graph(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One ONNX file. Tensor shapes carry −1 for the batch axis; `data_files` hold weights stored beside the graph.

    With `decodes_to` the file is a coded graph, see `registry.coded_graph`, and has its weights inside."""

    file: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    data_files: tuple[str, ...] = ()
    decodes_to: DecodedFiles | None = None

    def __post_init__(self) -> None:
        if self.decodes_to is not None and self.data_files:
            raise ValueError(f"{self.file!r} is a coded graph and has its weights inside: data_files must be empty")


class Requirements(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a host must have to run a variant. `cpu_features` in the words of /proc/cpuinfo."""

    provider: Literal["cpu", "cuda"] = "cpu"
    cpu_features: tuple[str, ...] = ()


class GoldenOutputs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the graph answered to the golden inputs at export: an .npz of [inputs, …] per output, and how far a host
    may differ from it, per output as the task measures it (`Task.differences`). Of a model that generates: `logits`
    after each prompt, and the `continuation` that is no output of a graph, see `registry.golden`."""

    file: str
    max_abs_difference: dict[str, Difference]


class ClassEvidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One class before and after compression, as shares of `support` examples, with a 95 % interval of the difference.

    `support` 0: the held-out data had none of it, and the shares mean nothing."""

    label: str
    support: Count
    trained: Share
    variant: Share
    difference_low: float
    difference_high: float


class GateResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One check with the figure it saw and the limit it held it to. `detail` says in words what the figure is."""

    name: str
    value: float
    limit: float
    passed: bool
    detail: str = ""


PartName = Literal["known", "added"]
"""Of held-out examples: those that another package's model has in its own data, and those that were added since."""


class PartEvidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The task's metric on one part of the held-out examples, of a variant and of another package's. `standard_error`:
    of the loss from the one to the other (see `Evidence.loss_against`), both measured on the same examples."""

    num_examples: Count
    variant: float
    rival: float
    standard_error: Difference


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Why a variant may be trusted: measured on `num_examples` held-out examples against the trained model.

    `metrics` has the task's own metric under its name, and `trained_<metric>` for the model before export; `better`
    says which way it improves. `latency_ms`: batch size → median single-thread latency on the exporting host. `parts`:
    digest of a package of `Manifest.rivals` → how the two compare on each part of the examples, where there are two.
    """

    metric: str
    better: Better = "higher"
    num_examples: Count
    metrics: dict[str, float]
    per_class: tuple[ClassEvidence, ...]
    latency_ms: dict[str, float]
    num_bytes: Count
    gates: tuple[GateResult, ...]
    parts: dict[Sha256, dict[PartName, PartEvidence]] = {}

    @property
    def passed(self) -> bool:
        """Did every gate of the export hold? Without a single gate nothing was proved."""
        return bool(self.gates) and all(gate.passed for gate in self.gates)

    def loss_against(self, other: Evidence) -> float:
        """How much worse the metric is than in other evidence of the same metric; negative where it is better.

        Where higher is better a metric is a share, and the loss a difference of shares. Where lower is better it has
        no upper end (bits per byte, say), and the loss is the increase as a share of the other."""
        return loss_of(self.metrics[self.metric], other.metrics[other.metric], self.better)


def loss_of(ours: float, theirs: float, better: Better) -> float:
    """See `Evidence.loss_against`."""
    return theirs - ours if better == "higher" else (ours - theirs) / max(abs(theirs), SMALLEST)


class Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One way to run the model. `graphs` by role: main, or those of `registry.decoder_interface`.

    `task`: a spec of its own, where the graph does a part of the task itself (suppression, say); never of one that
    generates."""

    precision: Precision
    graphs: Annotated[dict[Name, Graph], msgspec.Meta(min_length=1)]
    requires: Requirements
    golden: GoldenOutputs
    evidence: Evidence
    profile: str
    task: dict[str, Any] | None = None


class Lineage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the model came from."""

    created_at: str
    source: str
    dataset_digest: str = ""
    git_commit: str = ""
    run_id: str = ""
    recipe: dict[str, Any] = {}
    versions: dict[str, str] = {}


def current_version() -> int:
    """A function, because what stands in a class as a default is left out of what is written, and this never is."""
    return SCHEMA_VERSION


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole of `manifest.json`. Paths are relative to the package folder and use forward slashes.

    `variants` is ordered: the first whose requirements a host meets and whose gates passed is the one to run.
    `image_sizes` is empty where the model takes no pictures. `batch_buckets`: the sizes of batches, or, of a model that
    generates, the numbers of slots (the largest is used where nobody says otherwise). `golden_inputs`: encoded
    pictures, or prompts in UTF-8. `rivals`: digest of another package → its variants → what they are worth on this
    package's held-out examples, where they were tried on these. `files` lists every file of the folder except the
    manifest itself.
    """

    name: Name
    task: dict[str, Any]
    image_sizes: tuple[tuple[Positive, Positive], ...]
    batch_buckets: Annotated[tuple[Positive, ...], msgspec.Meta(min_length=1)]
    variants: Annotated[dict[Name, Variant], msgspec.Meta(min_length=1)]
    golden_inputs: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    lineage: Lineage
    rivals: dict[str, dict[Name, Evidence]] = {}
    files: dict[str, FileRecord] = {}
    schema_version: int = msgspec.field(default_factory=current_version)

    def __post_init__(self) -> None:
        if any(small >= large for small, large in pairwise(self.batch_buckets)):
            raise ValueError(f"batch_buckets must grow from one to the next, got {list(self.batch_buckets)}")
