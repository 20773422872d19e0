"""Held-out passages: an input as a client would send it, and what truly follows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from export.subject import Example
from tasks.generation import GenerativeTask
from tasks.text import Tokenizer
from training.data.annotation import Annotation

MIN_CHARACTERS = 32
"""Of a window of text; a shorter one says little about a model."""
MIN_PROMPT_SHARE, MAX_PROMPT_SHARE = 0.05, 0.6
"""Of the characters of a window: prompts of different lengths, most of which end within a word or a sentence."""
SAFE_SHARE = 0.8
"""Of the tokens there is room for that a window fills on average: some texts take more tokens than others."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One input with its continuation."""

    payload: bytes
    """A prompt in UTF-8, or an encoded picture."""
    answer: tuple[int, ...]
    """The tokens that truly follow, never none."""
    num_bytes: int
    """Of their text."""
    references: tuple[str, ...] = ()
    """Of a picture, every caption that is right."""
    place: int = 0
    """Of the document or the picture among those that it was taken from."""


def cut_documents(documents: Sequence[str], task: GenerativeTask, max_tokens: int, seed: int) -> list[Passage]:
    """Every document in windows that fit into `max_tokens` and the context, each cut at random into prompt and answer.

    The windows do not overlap, and stand in random order. Special tokens that a document spells out are its text."""
    rng, passages = np.random.default_rng(seed), []
    most = min(task.context, max_tokens)
    for place, document in enumerate(documents):
        num_tokens = max(1, len(task.tokenizer.encode(document)))
        size = max(MIN_CHARACTERS, int(len(document) / num_tokens * most * SAFE_SHARE))
        for window in windows(document, size):
            cut = max(1, int(len(window) * rng.uniform(MIN_PROMPT_SHARE, MAX_PROMPT_SHARE)))
            passage = cut_window(window, cut, task, most)
            if passage is not None:
                passages.append(replace(passage, place=place))
    return [passages[int(index)] for index in rng.permutation(len(passages))]


def windows(document: str, size: int) -> Iterator[str]:
    """Pieces of `size` characters, the last one shorter; those that are too short or blank are left out."""
    for start in range(0, len(document), size):
        window = document[start : start + size].strip()
        if len(window) >= MIN_CHARACTERS:
            yield window


def cut_window(window: str, cut: int, task: GenerativeTask, most: int) -> Passage | None:
    """None where the prompt leaves no room for an answer."""
    text = window[:cut]
    room = most - len(task.tokenizer.encode(text)) - 1  # the begin token
    answer = tuple(task.tokenizer.encode(window[cut:])[: max(0, room)])
    return Passage(text.encode(), answer, text_bytes(answer, task.tokenizer)) if answer else None


def caption_passages(examples: Sequence[Example], task: GenerativeTask, seed: int) -> list[Passage]:
    """Pictures with one of their captions each, and the token that ends it."""
    rng, passages = np.random.default_rng(seed), []
    end = tuple(sorted(task.end_tokens))[:1]
    for example in examples:
        assert isinstance(example.target, Annotation)
        captions = example.target.captions
        tokens = tuple(task.tokenizer.encode(captions[int(rng.integers(len(captions)))]))
        passages.append(Passage(example.payload, (*tokens, *end), text_bytes(tokens, task.tokenizer), captions))
    return passages


def text_bytes(tokens: Sequence[int], tokenizer: Tokenizer) -> int:
    """How many bytes of text tokens stand for."""
    return sum(len(tokenizer.pieces[token]) for token in tokens)
