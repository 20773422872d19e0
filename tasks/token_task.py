"""What every task that answers in tokens has from its spec and its tokenizer alone."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from tasks.detokeniser import StreamDetokeniser
from tasks.errors import InvalidPackage
from tasks.generation import Prompt
from tasks.generation_params import GenerationParams
from tasks.generative_spec import GenerativeSpec
from tasks.text import Tokenizer

Spec = TypeVar("Spec", bound=GenerativeSpec)


class TokenTask(Generic[Spec]):
    """The part of a GenerativeTask that is the same for all of them."""

    params_type: ClassVar[type[GenerationParams]] = GenerationParams

    def __init__(self, spec: Spec, folder: Path) -> None:
        """Raises InvalidPackage for files that are missing, damaged, or of another model."""
        self._spec = spec
        self._tokenizer = Tokenizer(folder / spec.tokenizer)
        if self._tokenizer.vocabulary > spec.vocabulary:
            raise InvalidPackage(
                f"{folder / spec.tokenizer} has {self._tokenizer.vocabulary} ids, but the model only "
                f"{spec.vocabulary}: it belongs to another model"
            )

    @property
    def spec(self) -> Spec:
        return self._spec

    @property
    def tokenizer(self) -> Tokenizer:
        return self._tokenizer

    @property
    def context(self) -> int:
        return self._spec.context

    @property
    def end_tokens(self) -> frozenset[int]:
        return frozenset(self._spec.end_tokens)

    def detokeniser(self, prompt: Prompt) -> StreamDetokeniser:
        return StreamDetokeniser(self._tokenizer, prompt.tokens)
