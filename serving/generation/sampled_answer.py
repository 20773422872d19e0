"""SampledAnswer: one answer of one slot, a token at a time."""

from __future__ import annotations

from serving.generation.answer_text import AnswerText
from serving.generation.request import Delta, GenerationRequest
from serving.generation.sampling import Sampler
from serving.generation.scores import Scores
from serving.generation.writer import Feed, Turn
from tasks.generation import FinishReason, Generated, TokenScore


class SampledAnswer:
    """A Writer. `max_tokens`: what the parameters ask for, or the context leaves."""

    def __init__(self, request: GenerationRequest, choice: int, max_tokens: int) -> None:
        self._request, self._choice, self._max_tokens = request, choice, max_tokens
        self._end_tokens = frozenset() if request.params.ignore_end else request.end_tokens
        self._num_top = request.params.logprobs or 0
        self._sampler = Sampler(request.params, request.prompt.tokens, choice)
        self._constraint = None if request.constraint is None else request.constraint()
        self._text = AnswerText(request.detokeniser(), request.params.stop)
        self._tokens: list[TokenScore] = []
        self._top_logprobs: list[tuple[TokenScore, ...]] = []

    def begin(self, scores: Scores) -> Turn:
        return self.advance(scores, 0)

    def advance(self, scores: Scores, first_row: int) -> Turn:
        """Raises NotReady or BadInput where no token can be chosen."""
        allowed = None if self._constraint is None else self._constraint.allowed()
        token = self._sampler.choose(scores, first_row, allowed)
        if token in self._end_tokens:
            return self._finish("stop", "", (), ())
        new = TokenScore(token, scores.logprob(first_row, token))
        self._tokens.append(new)
        top = scores.top(first_row, self._num_top)
        tops: tuple[tuple[TokenScore, ...], ...] = ()
        if self._num_top:
            self._top_logprobs.append(top)
            tops = (top,)
        self._sampler.advance(token)
        if self._constraint is not None:
            self._constraint.advance(token)
        text = self._text.push(token)
        if self._text.stop_text or (self._constraint is not None and self._constraint.is_complete):
            return self._finish("stop", text, (new,), tops)
        if len(self._tokens) == self._max_tokens:
            return self._finish("length", text, (new,), tops)
        return Turn((Delta(self._choice, text, (new,), tops, None),), (Feed(0, token),))

    def _finish(
        self,
        reason: FinishReason,
        text: str,
        tokens: tuple[TokenScore, ...],
        tops: tuple[tuple[TokenScore, ...], ...],
    ) -> Turn:
        text += self._text.flush()
        logprobs = tuple(score.logprob for score in self._tokens)
        answer = Generated(
            tokens=tuple(score.token for score in self._tokens),
            text=self._text.text,
            finish_reason="stop" if self._text.stop_text else reason,
            logprobs=logprobs,
            top_logprobs=tuple(self._top_logprobs),
            stop_text=self._text.stop_text,
            score=sum(logprobs) / max(len(logprobs), 1),
        )
        return Turn((Delta(self._choice, text, tokens, tops, answer),), ())
