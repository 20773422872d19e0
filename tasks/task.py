"""The Task protocol: all that the rest of the project may know about what a model is for.

A task is opened from a frozen, JSON-able `TaskSpec` that travels inside the model package. Training, export, serving
and monitoring call the same methods, so an image is decoded, resized and judged by one piece of code everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from tasks.errors import InvalidPackage
from tasks.image import MAX_PIXELS, ImageSpec, Placement

Array = NDArray[Any]
ParamValue = str | int | float | bool


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named tensor. `dtype` in the words of the Open Inference Protocol (UINT8, FP32, BYTES, …); −1 = any size."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class TaskSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """The facts a task is opened from. Each task subclasses it with a tag of its own; see `parse_spec`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One decoded input and where it came from.

    `image` is uint8 [height, width, 3], possibly decoded at a reduced scale; `placement` maps between the pixels of
    the original picture (of `placement.original_height` × `original_width`) and those of the model's input. Of a
    client's own tensor no original is known: nobody may conclude anything from the size of its placement.
    """

    image: NDArray[np.uint8]
    placement: Placement
    origin: Literal["picture", "tensor"] = "picture"


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Per-request options of a task, validated. Subclassed by each task."""

    @property
    def wants_picture(self) -> bool:
        """Whether the answer is to be a picture, see `Task.draw`, instead of JSON."""
        return self.wants_overlay

    @property
    def wants_overlay(self) -> bool:
        """Whether that picture is the caller's own with the answer drawn on it, for which tensors have no place."""
        return False


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What a task concluded about one sample, ready for `msgspec.json.encode`. Subclassed by each task."""


class Picture(NamedTuple):
    """An encoded picture and what it is, as in `image/png`."""

    media_type: str
    content: bytes


class Scalar(NamedTuple):
    """One number per image, binned by the edges of the reference profile."""

    value: float


class Category(NamedTuple):
    """One class index per image."""

    class_id: int


class WeightedBins(NamedTuple):
    """One weight per category, summing to one for each image (the image is the unit of every test)."""

    weights: NDArray[np.float64]


Observation = Scalar | Category | WeightedBins


class SignalSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What kind of observation a signal yields; `categories` names the bins of a category or weighted signal."""

    kind: Literal["scalar", "category", "weighted"]
    categories: tuple[str, ...] = ()


class Task(Protocol):
    """A single-shot task: one payload in, one prediction out. Implementations are stateless and thread-safe."""

    spec_type: ClassVar[type[TaskSpec]]
    prediction_type: ClassVar[type[Prediction]]
    params_type: ClassVar[type[Params]]
    verb: ClassVar[str]
    """The word of the task's endpoint: POST /v1/models/{name}/{verb}."""
    media_types: ClassVar[Mapping[str, Mapping[str, ParamValue]]]
    """Media types that an Accept header may ask for beside JSON → the parameters that mean the same."""

    @property
    def spec(self) -> TaskSpec: ...

    @property
    def image_spec(self) -> ImageSpec: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    def sample_from_bytes(self, payload: bytes, max_pixels: int = MAX_PIXELS) -> Sample:
        """Untrusted encoded bytes → raw image. Raises BadInput or TooLarge."""
        ...

    def sample_from_tensor(self, array: Array) -> Sample:
        """The graph's own input tensor, without batch axis → a sample whose placement is the identity."""
        ...

    def parse_params(self, values: Mapping[str, ParamValue]) -> Params:
        """Options from a query string, JSON or protocol parameters (strings are converted). Raises BadInput."""
        ...

    def preprocess(self, sample: Sample) -> dict[str, Array]:
        """Input tensors of the graph by name, without batch axis. Deterministic."""
        ...

    def decode_output(self, outputs: Mapping[str, Array], sample: Sample, params: Params) -> Prediction:
        """Output tensors of one item (without batch axis) → prediction, in original pixels."""
        ...

    def draw(self, payload: bytes, prediction: Prediction, params: Params, max_pixels: int = MAX_PIXELS) -> Picture:
        """The answer as a picture, for params that want one. `payload`: the encoded picture that was asked about.

        Raises Unsupported where the task has no such answer."""
        ...

    def wire_specs(self) -> tuple[TensorSpec, ...]:
        """The outputs that a tensor protocol gets for encoded input, with a leading batch axis of −1."""
        ...

    def wire_outputs(self, prediction: Prediction) -> dict[str, Array]:
        """A prediction as tensors without batch axis; BYTES are numpy object arrays of `bytes`."""
        ...

    def signal_specs(self) -> Mapping[str, SignalSpec]:
        """Every signal that `signals` may yield; one that an item does not have is left out for it."""
        ...

    def signals(
        self, sample: Sample, tensors: Mapping[str, Array], outputs: Mapping[str, Array], prediction: Prediction
    ) -> dict[str, Observation]:
        """What monitoring watches of one item."""
        ...

    def decision(self, prediction: Prediction) -> str:
        """The one conclusion that must not change between variants or hosts (golden replay compares it)."""
        ...

    def differences(self, expected: Mapping[str, Array], actual: Mapping[str, Array]) -> dict[str, float]:
        """How far two answers to one item (without batch axis) are apart, by output of `actual`, in units of that
        output. What is no number, or infinite, or of another shape, is infinitely far. Where an output is a set or
        holds indices the task says what "far" means; a hair of rounding must never be much."""
        ...


TASK_CLASSES: Mapping[str, str] = {
    "classification": "tasks.classification:Classification",
    "detection": "tasks.detection:Detection",
    "segmentation": "tasks.segmentation:Segmentation",
}
"""Task kind → where its class lives. Looked up by name so that a server imports only the tasks it serves."""

GENERATIVE_CLASSES: Mapping[str, str] = {
    "text_generation": "tasks.text_generation:TextGeneration",
    "captioning": "tasks.captioning:Captioning",
}
"""The same for those of the second protocol, see tasks/generation.py."""


def largest_difference(expected: Array, actual: Array) -> float:
    """Of two arrays, element by element; infinite for another shape, and for what is no finite number."""
    if expected.shape != actual.shape:
        return float("inf")
    difference = np.abs(expected.astype(np.float64) - actual.astype(np.float64))
    largest = float(difference.max(initial=0.0))
    return largest if np.isfinite(largest) else float("inf")


def is_generative(kind: str) -> bool:
    """Whether a task kind answers token by token."""
    return kind in GENERATIVE_CLASSES


def task_class(kind: str) -> Any:
    """The class of a task kind, a Task's or a GenerativeTask's. Raises InvalidPackage for an unknown kind."""
    known = {**TASK_CLASSES, **GENERATIVE_CLASSES}
    if kind not in known:
        raise InvalidPackage(f"task kind {kind!r} is unknown; this version knows {', '.join(sorted(known))}")
    module, name = known[kind].split(":")
    return getattr(import_module(module), name)


def parse_spec(facts: Mapping[str, Any]) -> TaskSpec:
    """The JSON form of a task spec → its typed form. Raises InvalidPackage naming the field."""
    kind = facts.get("kind")
    if not isinstance(kind, str):
        raise InvalidPackage(f"task spec: field 'kind' must be a string, got {kind!r}")
    try:
        spec: TaskSpec = msgspec.convert(dict(facts), task_class(kind).spec_type)
    except msgspec.ValidationError as error:
        raise InvalidPackage(f"task spec of kind {kind!r}: {error}") from error
    return spec


def open_task(spec: TaskSpec) -> Task:
    """The single-shot task that a spec describes. Raises InvalidPackage for one that generates: that needs files."""
    kind = str(spec.__struct_config__.tag)
    if is_generative(kind):
        raise InvalidPackage(f"task kind {kind!r} generates; it is opened by open_generative_task")
    task: Task = task_class(kind)(spec)
    return task
