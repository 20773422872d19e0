"""One request at another server: counted while it is there, and its tokens, times and signals when it has ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from serving.generation.request import Usage
from serving.generation.statistics import GenerationStatistics
from serving.upstream.seen import Fields, Seen, SeenChoice, read_answer
from tasks.errors import BadInput, DeadlineExceeded, Overloaded
from tasks.generation import FinishReason, Generated
from tasks.generation_signals import stop_reason
from tasks.task import Category, Observation, Scalar

UNTOLD_TOKEN = -1
"""In place of a token: the API tells how many there were, and not which."""


class Visit:
    """`watch` is called with the signals of an answer that has come to its end, `hear` with all answers of a request
    that has, `leave` once in any case."""

    def __init__(
        self,
        statistics: GenerationStatistics,
        watch: Callable[[Mapping[str, Observation]], None],
        leave: Callable[[], None],
        hear: Callable[[Sequence[Generated]], None],
    ) -> None:
        self._statistics, self._watch, self._leave, self._hear = statistics, watch, leave, hear
        self._arrived_at = self._last_at = monotonic()
        self._texts: defaultdict[int, list[str]] = defaultdict(list)
        self._logprobs: defaultdict[int, list[float]] = defaultdict(list)
        self._ends: dict[int, SeenChoice] = {}
        self._is_over = False
        self.usage = Usage(0, 0, 0)

    def note(self, answer: Fields) -> Seen:
        """What a whole answer says, or a piece of one."""
        seen = read_answer(answer)
        for choice in seen.choices:
            if choice.said:
                self._texts[choice.index].append(choice.said)
            if choice.logprobs is not None:
                self._logprobs[choice.index] += choice.logprobs.values()
            if choice.finish_reason is not None:
                self._ends[choice.index] = choice
        if seen.usage is not None:
            cached = seen.usage.prompt_tokens_details.cached_tokens if seen.usage.prompt_tokens_details else None
            self.usage = Usage(seen.usage.prompt_tokens, cached or 0, seen.usage.completion_tokens)
        return seen

    def note_piece(self, chunk: Fields) -> Seen:
        """The same of the next piece of a stream, whose time tells how long a token takes there."""
        seen, now = self.note(chunk), monotonic()
        if any(choice.said for choice in seen.choices):
            is_first = self._last_at == self._arrived_at
            (self._statistics.first_token if is_first else self._statistics.token).observe(now - self._last_at)
            self._last_at = now
        return seen

    def answers(self) -> list[Generated]:
        """After the end, by choice."""
        return [self._generated(index, end) for index, end in sorted(self._ends.items())]

    def succeed(self) -> None:
        """The answer is there."""
        if self._is_over:
            return
        statistics, usage = self._statistics, self.usage
        statistics.total.observe(monotonic() - self._arrived_at)
        statistics.num_prompt_tokens += usage.prompt_tokens
        statistics.num_cached_tokens += usage.cached_tokens
        statistics.num_completion_tokens += usage.completion_tokens
        answers = self.answers()
        for answer in answers:
            statistics.finished[answer.finish_reason] = statistics.finished.get(answer.finish_reason, 0) + 1
        if len(answers) == 1:
            self._watch(signals_of(usage, answers[0]))
        self._hear(answers)
        self._end()

    def fail(self, error: BaseException) -> None:
        """It was not answered."""
        if self._is_over:
            return
        if isinstance(error, DeadlineExceeded):
            self._statistics.num_expired += 1
        elif isinstance(error, Overloaded):
            self._statistics.num_refused += 1
        elif isinstance(error, Exception) and not isinstance(error, BadInput):
            self._statistics.num_failed += 1
        elif not isinstance(error, Exception):
            self._statistics.num_cancelled += 1
        self._end()

    def leave(self) -> None:
        """Nobody wants the rest. Without effect after the end."""
        if not self._is_over:
            self._statistics.num_cancelled += 1
            self._end()

    def _end(self) -> None:
        self._is_over = True
        self._leave()

    def _generated(self, index: int, end: SeenChoice) -> Generated:
        """The number of its tokens is known where there is one choice, and else taken from the pieces that came."""
        pieces, logprobs = self._texts[index], tuple(self._logprobs[index])
        num_tokens = self.usage.completion_tokens if len(self._ends) == 1 else len(pieces)
        reason: FinishReason = "length" if end.finish_reason == "length" else "stop"
        return Generated(
            tokens=(UNTOLD_TOKEN,) * num_tokens,
            text="".join(pieces),
            finish_reason=reason,
            logprobs=logprobs,
            stop_text=end.stop_reason if isinstance(end.stop_reason, str) else "",
            score=sum(logprobs) / len(logprobs) if logprobs else 0.0,
        )


def signals_of(usage: Usage, answer: Generated) -> dict[str, Observation]:
    """Those of the text task for which no token ids are needed, under the names that its profiles have."""
    signals: dict[str, Observation] = {
        "prompt_tokens": Scalar(float(usage.prompt_tokens)),
        "answer_tokens": Scalar(float(usage.completion_tokens)),
        "stop_reason": Category(stop_reason(answer)),
    }
    if answer.logprobs:
        signals["mean_logprob"] = Scalar(answer.score)
    return signals
