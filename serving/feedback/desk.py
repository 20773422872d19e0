"""Where answers are remembered and feedback is joined to them: one for all models of a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from serving.feedback.given import Feedback
from serving.feedback.judge import Judge, check_fields
from serving.feedback.memory import JUDGED, Duplicate, Expired, Memory, Recollection
from serving.feedback.statistics import MAX_VERSIONS, OUTCOMES, FeedbackStatistics
from serving.feedback.verdict import Verdict
from tasks.errors import BadInput, NotFound, TidegateError

ATTACH = "send what was answered along, as `prediction`, with its `version`: then any replica can count it"
WHY_UNKNOWN = (
    "It may be unknown because another replica answered, it was answered with tensors that can not be judged, or it is "
    "no id of this model's answers"
)


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """Of each model."""

    max_answers: int = 20_000
    max_age_s: float = 86_400.0


class Claim(NamedTuple):
    """An answer that is about to be judged. `taken`: from the memory; None where the answer came with the feedback."""

    model: str
    version: str
    judge: Judge
    feedback: Feedback
    taken: Recollection | None

    def verdict(self) -> Verdict:
        """May take milliseconds, on any thread. Raises BadInput, TooLarge or Unsupported."""
        if self.taken is not None:
            return self.judge.judge(self.taken.said, self.feedback)
        return self.judge.judge(self.judge.recall_given(self.feedback.attached), self.feedback)


class FeedbackDesk:
    """Lives on one event loop."""

    def __init__(self, limits: MemoryLimits, statistics: FeedbackStatistics) -> None:
        self._limits, self.statistics = limits, statistics
        self._memories: dict[str, Memory] = {}
        self._judges: dict[str, dict[str, Judge]] = {}
        """By model and version, latest last."""

    @property
    def remembers(self) -> bool:
        """Whether anything is worth being recalled."""
        return self._limits.max_answers > 0

    def enrol(self, model: str, version: str, judge: Judge) -> None:
        """A version is being served from now on. Labels may come long after it is served no more."""
        judges = self._judges.setdefault(model, {})
        judges.pop(version, None)
        judges[version] = judge
        for old in list(judges)[:-MAX_VERSIONS]:
            del judges[old]
        if model not in self._memories:
            self._memories[model] = Memory(self._limits.max_answers, self._limits.max_age_s)
        self.statistics.remembered.setdefault(model, 0)
        for outcome in OUTCOMES:
            self.statistics.outcomes.setdefault((model, outcome), 0)

    def remember(self, model: str, version: str, request_id: str, index: int, said: object) -> None:
        """Something was answered, which is judged by what `said` recalls of it."""
        memory = self._memories[model]
        memory.remember(request_id, index, version, said)
        self.statistics.remembered[model] = len(memory)

    def claim(self, model: str, feedback: Feedback) -> Claim:
        """The answer that it is about: nobody else can claim it until it is released.

        Raises NotFound, Conflict, or BadInput for feedback that the model does not take. All are counted, but for
        feedback on a model that was never here: what a caller makes up must not become a label of metrics."""
        memory = self._memories.get(model)
        if memory is None:
            raise NotFound(f"there is no model {model!r} here")
        try:
            return self._claim(model, memory, feedback)
        except TidegateError as error:
            self.statistics.came(model, outcome_of(error))
            raise

    def _claim(self, model: str, memory: Memory, feedback: Feedback) -> Claim:
        try:
            taken = memory.take(feedback.request_id, feedback.index)
        except NotFound as error:
            if not feedback.attached:
                hint = ATTACH if isinstance(error, Expired) else f"{ATTACH}. {WHY_UNKNOWN}"
                raise type(error)(f"{error}; {hint}") from error
            return self._claim_attached(model, feedback)
        try:
            return Claim(model, taken.version, self._judge_of(model, taken, feedback), feedback, taken)
        except TidegateError:
            memory.put_back(feedback.request_id, feedback.item, taken)
            raise

    def _judge_of(self, model: str, taken: Recollection, feedback: Feedback) -> Judge:
        judge = self._judges[model].get(taken.version)
        if judge is None:
            raise Expired(f"version {taken.version!r} of {model!r}, which answered, was served too long ago")
        if feedback.version not in (None, taken.version):
            raise BadInput(
                f"request {feedback.request_id!r} was answered by version {taken.version!r}, not by "
                f"{feedback.version!r}; leave version out"
            )
        check_fields(judge, feedback, model)
        return judge

    def _claim_attached(self, model: str, feedback: Feedback) -> Claim:
        """What was answered came along. Its id is remembered as judged from here on."""
        judges = self._judges[model]
        if feedback.version is None:
            raise BadInput(
                "a prediction that is sent along needs the version that answered: give version (the answer's "
                "model_version)"
            )
        if feedback.version not in judges:
            raise NotFound(f"version {feedback.version!r} of {model!r} is not known; known: {', '.join(judges)}")
        check_fields(judges[feedback.version], feedback, model)
        self.remember(model, feedback.version, feedback.request_id, feedback.item, JUDGED)
        return Claim(model, feedback.version, judges[feedback.version], feedback, None)

    def settle(self, claim: Claim, verdict: Verdict) -> None:
        """Count it."""
        self.statistics.judged(claim.model, claim.version, verdict)
        self.statistics.came(claim.model, "attached" if claim.taken is None else "joined")

    def release(self, claim: Claim) -> None:
        """The feedback could not be right: another may come."""
        memory, request_id = self._memories[claim.model], claim.feedback.request_id
        if claim.taken is None:
            memory.drop(request_id, claim.feedback.item)
        else:
            memory.put_back(request_id, claim.feedback.item, claim.taken)
        self.statistics.came(claim.model, "refused")

    def refuse(self, model: str) -> None:
        """Feedback that could not be read."""
        if model in self._memories:
            self.statistics.came(model, "refused")


def outcome_of(error: TidegateError) -> str:
    """How feedback that could not be joined is counted."""
    if isinstance(error, Expired):
        return "expired"
    if isinstance(error, Duplicate):
        return "duplicate"
    return "unknown" if isinstance(error, NotFound) else "refused"
