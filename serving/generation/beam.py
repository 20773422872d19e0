"""Beam: one of the beginnings of an answer that a beam search follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.generation.answer_text import AnswerText
from serving.generation.request import Constraint, GenerationRequest
from serving.generation.sampling import Adjustment
from serving.generation.scores import Scores, log_sum
from tasks.generation import FinishReason, Generated, TokenScore


@dataclass(eq=False, slots=True)
class Beam:
    """`total`: sum of log-probabilities. `place`: which of the search's slots holds its state, or that of its parent
    until it has been given one."""

    request: GenerationRequest
    place: int
    tokens: tuple[TokenScore, ...]
    top_logprobs: tuple[tuple[TokenScore, ...], ...]
    total: float
    adjustment: Adjustment
    constraint: Constraint | None
    text: AnswerText | None
    """Only where there are stop texts; taken over by the first child."""

    @classmethod
    def first(cls, request: GenerationRequest) -> Beam:
        """Right after the prompt."""
        constraint = None if request.constraint is None else request.constraint()
        adjustment = Adjustment(request.params, request.prompt.tokens)
        text = AnswerText(request.detokeniser(), request.params.stop) if request.params.stop else None
        return cls(request, 0, (), (), 0.0, adjustment, constraint, text)

    @property
    def length(self) -> int:
        return len(self.tokens)

    @property
    def has_ended(self) -> bool:
        """By a stop text or because the constraint allows nothing more."""
        return bool(self.text and self.text.stop_text) or bool(self.constraint and self.constraint.is_complete)

    def totals(self, scores: Scores, row: int) -> NDArray[np.float32]:
        """FP32 [vocabulary]: the sum that each token would lead to; −∞ for what a constraint forbids.

        A constraint does not change what the model thinks of the tokens that are left: the best answer is the most
        probable one of all that it allows."""
        scores.check(row)
        unchanged = scores.logits[row]
        logits = self.adjustment.adjusted(unchanged, None)
        totals = logits - (scores.log_sums[row] if logits is unchanged else log_sum(logits)) + np.float32(self.total)
        if self.constraint is not None:
            totals[~self.constraint.allowed()] = -np.inf
        return totals

    def child(self, scores: Scores, row: int, token: int, total: float) -> Beam:
        """This beam and one token more, still at the place of its parent."""
        params = self.request.params
        adjustment = self.adjustment.fork()
        adjustment.advance(token)
        constraint = None
        if self.constraint is not None:
            constraint = self.constraint.fork()
            constraint.advance(token)
        tokens = (*self.tokens, TokenScore(token, scores.logprob(row, token)))
        tops = (*self.top_logprobs, scores.top(row, params.logprobs)) if params.logprobs else ()
        return Beam(self.request, self.place, tokens, tops, total, adjustment, constraint, self._hand_down_text(token))

    def _hand_down_text(self, token: int) -> AnswerText | None:
        if not self.request.params.stop:
            return None
        text, self.text = self.text, None
        if text is None:
            text = AnswerText(self.request.detokeniser(), self.request.params.stop)
            for score in self.tokens:
                text.push(score.token)
        text.push(token)
        return text

    def answer(self, reason: FinishReason, score: float) -> Generated:
        text = AnswerText(self.request.detokeniser(), self.request.params.stop)
        for token, _ in self.tokens:
            text.push(token)
        text.flush()
        return Generated(
            tokens=tuple(token for token, _ in self.tokens),
            text=text.text,
            finish_reason="stop" if text.stop_text else reason,
            logprobs=tuple(logprob for _, logprob in self.tokens),
            top_logprobs=self.top_logprobs,
            stop_text=text.stop_text,
            score=score,
        )
