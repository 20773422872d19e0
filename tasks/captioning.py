"""Captioning: a picture in, sentences about it out.

An encoder makes a row of features for each place of the picture, a decoder attends to them and to what it has said so
far (Xu et al., 2015, "Show, Attend and Tell"; Wang et al., 2022, "GIT")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
import numpy as np

from tasks.answers import TokenLogprob, token_logprobs
from tasks.errors import InvalidPackage, Unsupported
from tasks.generation import Encoded, FinishReason, Generated, Prompt
from tasks.generation_params import GenerationParams, TokenId
from tasks.generation_signals import ANSWER_SIGNALS, answer_signals
from tasks.generative_spec import GenerativeSpec
from tasks.image import ImageSpec
from tasks.image_signals import EMBEDDING_SIGNALS, IMAGE_SIGNALS, embedding_signals, image_signals
from tasks.parse_generation import SAMPLING, parse_generation
from tasks.picture_input import PictureInput
from tasks.task import Array, Observation, Prediction, SignalSpec, TaskSpec, TensorSpec
from tasks.token_task import TokenTask


class CaptioningSpec(GenerativeSpec, frozen=True, kw_only=True, tag="captioning"):
    """Facts of a captioner. `positions`: rows of features that the encoder makes of a picture; they take as many
    places of the context. Every caption follows the begin token."""

    image: ImageSpec
    positions: Annotated[int, msgspec.Meta(ge=1)]
    begin_token: TokenId
    end_tokens: Annotated[tuple[TokenId, ...], msgspec.Meta(min_length=1)]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.context < self.positions + 2:
            raise ValueError(
                f"a context of {self.context} has no room for {self.positions} positions of the picture, the begin "
                "token and one token of a caption"
            )


class Caption(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One caption. `score`: what captions are ranked by, the mean log-probability of a token or what beam search made
    of it; `logprobs`: of every token, where they were asked for."""

    text: str
    score: float
    num_tokens: int
    finish_reason: FinishReason
    logprobs: tuple[TokenLogprob, ...] | None = None


class CaptioningPrediction(Prediction, frozen=True, kw_only=True):
    """The captions of one picture, best first."""

    captions: tuple[Caption, ...]


class Captioning(TokenTask[CaptioningSpec]):
    """The task of saying what a picture shows. Graphs: roles `encoder`, `decoder` and `copy`, see
    `registry.decoder_interface`."""

    spec_type: ClassVar[type[TaskSpec]] = CaptioningSpec
    prediction_type: ClassVar[type[Prediction]] = CaptioningPrediction
    verb: ClassVar[str] = "caption"

    def __init__(self, spec: CaptioningSpec, folder: Path) -> None:
        """Raises InvalidPackage for files that are missing, damaged, or of another model."""
        super().__init__(spec, folder)
        self._encoder = PictureInput(spec.image)

    @property
    def encoder(self) -> PictureInput:
        return self._encoder

    def parse_params(self, values: Mapping[str, object]) -> GenerationParams:
        """Greedy unless something else is asked for: the `n` best captions are found by `n` beams or more, and
        whoever names a parameter of sampling gets samples."""
        defaults, vocabulary = self._spec.defaults, self._spec.vocabulary
        if SAMPLING & values.keys():
            return parse_generation(values, defaults, vocabulary)
        defaults = {"temperature": 0.0, **defaults}
        if "num_beams" not in values:
            wanted = parse_generation({"n": values.get("n", 1)}, {}, vocabulary).n
            defaults["num_beams"] = max(wanted, defaults.get("num_beams", 1))
        return parse_generation(values, defaults, vocabulary)

    def prompt(self, text: str) -> Prompt:
        raise Unsupported("the model captions pictures; it takes no text")

    def prompt_of(self, encoded: Encoded) -> Prompt:
        features = encoded.outputs["features"]
        # No input that passed our checks may spoil them, so the model is at fault.
        if features.ndim != 2 or len(features) != self._spec.positions or not np.isfinite(features).all():
            raise InvalidPackage(
                f"the encoder answered with {features.dtype} {list(features.shape)}; expected finite numbers "
                f"[{self._spec.positions}, width]: roll back to another version of the model"
            )
        return Prompt((self._spec.begin_token,), features.astype(np.float32, copy=False))

    def finish(self, answers: Sequence[Generated]) -> CaptioningPrediction:
        return CaptioningPrediction(
            captions=tuple(
                Caption(
                    text=answer.text,
                    score=answer.score,
                    num_tokens=len(answer.tokens),
                    finish_reason=answer.finish_reason,
                    logprobs=token_logprobs(self._tokenizer, answer),
                )
                for answer in answers
            )
        )

    def wire_specs(self) -> tuple[TensorSpec, ...]:
        return (
            TensorSpec(name="caption", dtype="BYTES", shape=(-1,)),
            TensorSpec(name="score", dtype="FP32", shape=(-1,)),
        )

    def wire_outputs(self, prediction: Prediction) -> dict[str, Array]:
        assert isinstance(prediction, CaptioningPrediction)
        return {
            "caption": np.array([caption.text.encode() for caption in prediction.captions], object),
            "score": np.array([caption.score for caption in prediction.captions], np.float32),
        }

    def signal_specs(self) -> Mapping[str, SignalSpec]:
        return {**IMAGE_SIGNALS, **EMBEDDING_SIGNALS, **ANSWER_SIGNALS}

    def signals(self, prompt: Prompt, answer: Generated, encoded: Encoded | None) -> dict[str, Observation]:
        assert encoded is not None, "a captioner's prompt comes from its encoder"
        return {
            **image_signals(encoded.sample, encoded.tensors["image"]),
            **embedding_signals(encoded.outputs["embedding"]),
            **answer_signals(answer),
        }
