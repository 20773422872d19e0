"""Feedback on captions and generated texts: texts that would have been right, a rating, or both."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import msgspec

from serving.feedback.given import MAX_CHARACTERS, Feedback
from serving.feedback.verdict import Cell, Verdict
from serving.json_fields import read_json
from tasks.errors import BadInput, TooLarge

TEXTS, TOKEN_F1, RATING = "texts", "token_f1", "rating"
RATINGS: Mapping[str, float] = {"up": 1.0, "down": 0.0}
WORD = re.compile(r"\w+")


class Said(NamedTuple):
    """The best answer. `text` is None where it was longer than what is remembered."""

    text: str | None


class GivenChoice(msgspec.Struct, frozen=True):
    """One answer."""

    text: str


class GivenText(msgspec.Struct, frozen=True):
    """The text by itself, or in what the task's own endpoints answer, best first."""

    text: str | None = None
    choices: tuple[GivenChoice, ...] = ()
    captions: tuple[GivenChoice, ...] = ()


class TextJudge:
    """What is remembered is the text of the best answer, up to 16,384 characters."""

    takes: ClassVar[tuple[str, ...]] = ("references", "rating")

    def recall_given(self, prediction: bytes) -> Said:
        given = read_json(prediction, GivenText, 'prediction must be what was answered, like {"text": "…"}')
        found = [given.text, *(one.text for one in (*given.choices, *given.captions))]
        text = next((one for one in found if one is not None), None)
        if text is None:
            raise BadInput(
                'the prediction holds no text; send {"text": "…"}, or the answer with its choices or captions'
            )
        if len(text) > MAX_CHARACTERS:
            raise TooLarge(f"the prediction has {len(text):,} characters; at most {MAX_CHARACTERS:,} are compared")
        return Said(text)

    def judge(self, said: object, feedback: Feedback) -> Verdict:
        """Texts are compared word by word, without regard to case and punctuation, to the reference that fits best."""
        assert isinstance(said, Said)
        told: dict[str, Any] = {}
        truth: dict[str, Any] = {}
        counts: dict[Cell, float] = {}
        observed: dict[str, float] = {}
        if feedback.references is not None:
            if said.text is None:
                raise TooLarge(
                    f"the answer had more than {MAX_CHARACTERS:,} characters, and no more are remembered or compared: "
                    "send a rating alone"
                )
            words = words_of(said.text)
            references = [words_of(text) for text in feedback.references]
            is_exact, best = words in references, max(token_f1(words, reference) for reference in references)
            counts[Cell(TEXTS, "", "exact" if is_exact else "different")] = 1.0
            observed[TOKEN_F1] = best
            told |= {"exact": is_exact, TOKEN_F1: best}
            truth["references"] = list(feedback.references)
        if feedback.rating is not None:
            rating = RATINGS[feedback.rating] if isinstance(feedback.rating, str) else feedback.rating
            observed[RATING] = told[RATING] = truth[RATING] = rating
        return Verdict(told, truth, counts, observed)


def remembered(text: str) -> Said:
    """What is recalled of a text that was answered."""
    return Said(text if len(text) <= MAX_CHARACTERS else None)


def words_of(text: str) -> list[str]:
    """Runs of letters and digits, without case."""
    return WORD.findall(text.casefold())


def token_f1(words: Sequence[str], reference: Sequence[str]) -> float:
    """Harmonic mean of precision and recall of the words, each as often as it occurs (Rajpurkar et al., 2016)."""
    if not words or not reference:
        return float(words == reference)
    num_shared = sum((Counter(words) & Counter(reference)).values())
    return 2 * num_shared / (len(words) + len(reference))
