"""The GenerativeTask protocol: one prompt in, tokens out one by one, a prediction at the end.

Like a `Task` it is opened from a spec that travels inside the package, but it also needs files of the package (a
tokenizer). What stands before the tokens may come from a batchable stage: captioning encodes a picture first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from tasks.errors import InvalidPackage
from tasks.generation_params import GenerationParams
from tasks.image import MAX_PIXELS, ImageSpec
from tasks.task import (
    Array,
    Observation,
    Prediction,
    Sample,
    SignalSpec,
    TaskSpec,
    TensorSpec,
    is_generative,
    task_class,
)
from tasks.text import Detokeniser, Tokenizer

FinishReason = Literal["stop", "length"]
""""stop": the model said so, or a stop text came, or a constraint was fulfilled. "length": max_tokens or context."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a generator continues. `tokens` are never empty."""

    tokens: tuple[int, ...]
    features: Array | None = None
    """FP32 [positions, width]: what an encoder made of the input. It stands before the tokens and counts towards the
    context."""

    @property
    def length(self) -> int:
        """Positions of the context that it takes."""
        return len(self.tokens) + (0 if self.features is None else len(self.features))


class TokenScore(NamedTuple):
    """A token and the natural logarithm of the probability that the model gave it."""

    token: int
    logprob: float


@dataclass(frozen=True, slots=True)
class Generated:
    """One finished answer."""

    tokens: tuple[int, ...]
    """As chosen; the token that ended it is not among them."""
    text: str
    finish_reason: FinishReason
    logprobs: tuple[float, ...]
    """Of each token."""
    top_logprobs: tuple[tuple[TokenScore, ...], ...] = ()
    """The best at each place, best first, where they were asked for: one entry for each token, which may be empty."""
    stop_text: str = ""
    """The stop text that ended it, if one did."""
    score: float = 0.0
    """What n-best answers are ranked by: mean log-probability of a sample, or what beam search made of it."""


class Encoder(Protocol):
    """What a batchable stage before the decoder takes: the same methods as a Task's."""

    @property
    def image_spec(self) -> ImageSpec: ...

    def sample_from_bytes(self, payload: bytes, max_pixels: int = MAX_PIXELS) -> Sample: ...

    def sample_from_tensor(self, array: Array) -> Sample: ...

    def preprocess(self, sample: Sample) -> dict[str, Array]: ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture and what the encoder made of it. `payload`: the picture as it was sent, where it was."""

    sample: Sample
    tensors: Mapping[str, Array]
    outputs: Mapping[str, Array]
    payload: bytes = b""


class GenerativeTask(Protocol):
    """Implementations are stateless and thread-safe; the state of a request lies in its detokeniser."""

    spec_type: ClassVar[type[TaskSpec]]
    prediction_type: ClassVar[type[Prediction]]
    params_type: ClassVar[type[GenerationParams]]
    verb: ClassVar[str]
    """The word of the task's endpoint: POST /v1/models/{name}/{verb}."""

    @property
    def spec(self) -> TaskSpec: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def context(self) -> int:
        """Positions that prompt and answer may take together."""
        ...

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens by which the model says that it has finished."""
        ...

    @property
    def encoder(self) -> Encoder | None:
        """What comes before the decoder; None where the prompt is text."""
        ...

    def parse_params(self, values: Mapping[str, object]) -> GenerationParams:
        """Options from a query string, JSON or protocol parameters (strings are converted). Raises BadInput."""
        ...

    def prompt(self, text: str) -> Prompt:
        """Text → tokens. Raises BadInput for one that is empty or leaves no room for an answer."""
        ...

    def prompt_of(self, encoded: Encoded) -> Prompt:
        """The encoder's answer → features and first tokens. Raises Unsupported where there is no encoder."""
        ...

    def detokeniser(self, prompt: Prompt) -> Detokeniser:
        """A new one for one answer."""
        ...

    def finish(self, answers: Sequence[Generated]) -> Prediction:
        """All answers to one prompt, best first → what is answered."""
        ...

    def wire_specs(self) -> tuple[TensorSpec, ...]:
        """The outputs that a tensor protocol gets, each with one axis for the answers, best first."""
        ...

    def wire_outputs(self, prediction: Prediction) -> dict[str, Array]:
        """A prediction as those tensors; BYTES are numpy object arrays of `bytes`."""
        ...

    def signal_specs(self) -> Mapping[str, SignalSpec]: ...

    def signals(self, prompt: Prompt, answer: Generated, encoded: Encoded | None) -> dict[str, Observation]:
        """What monitoring watches of one prompt and its best answer: the prompt is the unit of every test."""
        ...


def open_generative_task(spec: TaskSpec, folder: Path) -> GenerativeTask:
    """The task that a spec describes, with its files from the package or checkpoint in `folder`.

    Raises InvalidPackage where a file is missing or does not fit the spec."""
    kind = str(spec.__struct_config__.tag)
    if not is_generative(kind):
        raise InvalidPackage(f"task kind {kind!r} does not generate; it is opened by open_task")
    factory: Any = task_class(kind)
    task: GenerativeTask = factory(spec, folder)
    return task
