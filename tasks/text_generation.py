"""Text generation: a prompt in, what may follow it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np

from tasks.answers import TokenLogprob, token_logprobs
from tasks.chat_template import ChatTemplate
from tasks.errors import BadInput, Unsupported
from tasks.generation import Encoded, Encoder, FinishReason, Generated, Prompt
from tasks.generation_params import GenerationParams
from tasks.generation_signals import ANSWER_SIGNALS, PROMPT_SIGNALS, answer_signals, prompt_signals
from tasks.generative_spec import FileName, GenerativeSpec
from tasks.parse_generation import parse_generation
from tasks.task import Array, Observation, Prediction, SignalSpec, TaskSpec, TensorSpec
from tasks.token_task import TokenTask


class TextGenerationSpec(GenerativeSpec, frozen=True, kw_only=True, tag="text_generation"):
    """Facts of a language model. `chat_template`: the file of a Jinja template that makes a prompt of messages."""

    chat_template: FileName | None = None

    @property
    def files(self) -> tuple[str, ...]:
        return (self.tokenizer,) if self.chat_template is None else (self.tokenizer, self.chat_template)


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer. `score`: the mean log-probability of its tokens, or what beam search made of it; `stop_text`: the
    one that ended it; `logprobs`: of every token, where they were asked for."""

    text: str
    finish_reason: FinishReason
    num_tokens: int
    score: float
    stop_text: str = ""
    logprobs: tuple[TokenLogprob, ...] | None = None


class TextGenerationPrediction(Prediction, frozen=True, kw_only=True):
    """The answers to one prompt, best first."""

    choices: tuple[Choice, ...]


class TextGeneration(TokenTask[TextGenerationSpec]):
    """The task of continuing a text. Graphs: roles `decoder` and `copy`, see `registry.decoder_interface`."""

    spec_type: ClassVar[type[TaskSpec]] = TextGenerationSpec
    prediction_type: ClassVar[type[Prediction]] = TextGenerationPrediction
    verb: ClassVar[str] = "generate"

    def __init__(self, spec: TextGenerationSpec, folder: Path) -> None:
        """Raises InvalidPackage for files that are missing, damaged, or of another model."""
        super().__init__(spec, folder)
        self._chat = None
        if spec.chat_template is not None:
            names = {"bos_token": spec.begin_token, "eos_token": spec.end_tokens[0] if spec.end_tokens else None}
            special = {
                name: "" if token is None else self._tokenizer.token_name(token) or "" for name, token in names.items()
            }
            self._chat = ChatTemplate(folder / spec.chat_template, special, self._max_characters)

    @property
    def encoder(self) -> Encoder | None:
        return None

    @property
    def _max_characters(self) -> int:
        """More than any text that fits into the context has."""
        return self._spec.context * self._tokenizer.longest_token

    def parse_params(self, values: Mapping[str, object]) -> GenerationParams:
        return parse_generation(values, self._spec.defaults, self._spec.vocabulary)

    def prompt(self, text: str) -> Prompt:
        """The begin token, where the model has one, and the text. Raises BadInput for a text that is empty, no text,
        or too long for the context."""
        if not text:
            raise BadInput("the prompt is empty; send one or more characters")
        begin = () if self._spec.begin_token is None else (self._spec.begin_token,)
        return self._checked((*begin, *self._encoded(text)))

    def chat_prompt(self, messages: Sequence[Mapping[str, object]]) -> Prompt:
        """Messages as the package's template puts them. Each has a `role` and a `content`: a text, or a list of parts
        of type "text". Raises BadInput for messages that the template refuses, Unsupported where there is none."""
        if self._chat is None:
            raise Unsupported("the model has no chat template; send a prompt to /v1/completions instead")
        return self._checked(tuple(self._encoded(self._chat.render(messages))))

    def prompt_from_tokens(self, tokens: Sequence[int]) -> Prompt:
        """Tokens as they are, nothing added. Raises BadInput for none, too many, or an unknown one."""
        if not tokens:
            raise BadInput("the prompt is empty; send one or more tokens")
        prompt = self._checked(tuple(tokens))
        if strange := next((token for token in tokens if not 0 <= token < self._spec.vocabulary), None):
            raise BadInput(f"the prompt has token {strange}; the model has tokens 0 to {self._spec.vocabulary - 1}")
        return prompt

    def _encoded(self, text: str) -> list[int]:
        if len(text) > self._max_characters:  # before time is spent on it
            raise BadInput(
                f"the prompt has {len(text):,} characters, more than a context of {self._spec.context} tokens can hold "
                f"(no token has more than {self._tokenizer.longest_token}): shorten it"
            )
        return self._tokenizer.encode(text)

    def _checked(self, tokens: tuple[int, ...]) -> Prompt:
        if not tokens:
            raise BadInput("nothing is left of the prompt: the tokenizer drops all of it")
        if len(tokens) > self._spec.context - 1:
            raise BadInput(
                f"the prompt has {len(tokens)} tokens; with a context of {self._spec.context} it may have at most "
                f"{self._spec.context - 1}, so that one is left for the answer: shorten it"
            )
        return Prompt(tokens)

    def prompt_of(self, encoded: Encoded) -> Prompt:
        raise Unsupported("the model continues text; it takes no pictures")

    def finish(self, answers: Sequence[Generated]) -> TextGenerationPrediction:
        return TextGenerationPrediction(
            choices=tuple(
                Choice(
                    text=answer.text,
                    finish_reason=answer.finish_reason,
                    num_tokens=len(answer.tokens),
                    score=answer.score,
                    stop_text=answer.stop_text,
                    logprobs=token_logprobs(self._tokenizer, answer),
                )
                for answer in answers
            )
        )

    @staticmethod
    def wire_specs() -> tuple[TensorSpec, ...]:
        return (
            TensorSpec(name="text_output", dtype="BYTES", shape=(-1,)),
            TensorSpec(name="finish_reason", dtype="BYTES", shape=(-1,)),
            TensorSpec(name="num_tokens", dtype="INT64", shape=(-1,)),
            TensorSpec(name="score", dtype="FP32", shape=(-1,)),
        )

    @staticmethod
    def wire_outputs(prediction: Prediction) -> dict[str, Array]:
        assert isinstance(prediction, TextGenerationPrediction)
        choices = prediction.choices
        return {
            "text_output": np.array([choice.text.encode() for choice in choices], object),
            "finish_reason": np.array([choice.finish_reason.encode() for choice in choices], object),
            "num_tokens": np.array([choice.num_tokens for choice in choices], np.int64),
            "score": np.array([choice.score for choice in choices], np.float32),
        }

    def signal_specs(self) -> Mapping[str, SignalSpec]:
        return {**PROMPT_SIGNALS, **ANSWER_SIGNALS}

    def signals(self, prompt: Prompt, answer: Generated, encoded: Encoded | None) -> dict[str, Observation]:
        return {**prompt_signals(prompt.tokens, self._tokenizer), **answer_signals(answer)}
