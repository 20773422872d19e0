"""What becomes of an answer once it is known: remembered until feedback comes, and a sample of them captured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from serving.asked import Asked
from serving.capture.capture import Capture
from serving.capture.item import CapturedAnswer, CapturedLabel, ModelFacts
from serving.feedback.desk import Claim, FeedbackDesk, MemoryLimits
from serving.feedback.judge import Judge, PictureJudge
from serving.feedback.statistics import FeedbackStatistics
from serving.feedback.verdict import Verdict
from serving.logs import CURRENT_REQUEST
from tasks.task import Array, Params, Prediction, Sample

MAX_REMEMBERED_ROWS = 256
"""Of one request's tensors: remembering costs the event loop some microseconds each."""


def forgetful_desk() -> FeedbackDesk:
    return FeedbackDesk(MemoryLimits(max_answers=0), FeedbackStatistics())


@dataclass(frozen=True)
class Aftermath:
    """Of all models of a server. `capture`: None where it is off."""

    desk: FeedbackDesk = field(default_factory=forgetful_desk)
    capture: Capture | None = None

    def close(self) -> None:
        """Write what was captured."""
        if self.capture is not None:
            self.capture.close()

    def witness(self, facts: ModelFacts, judge: Judge) -> Witness:
        """Who sees the answers of a version that is about to be served."""
        self.desk.enrol(facts.model, facts.version, judge)
        return Witness(facts, self.desk, self.capture)

    def picture_witness(self, facts: ModelFacts, judge: PictureJudge) -> PictureWitness:
        """The same for one that answers about pictures at once."""
        return PictureWitness(self.witness(facts, judge), judge)

    def settle(self, claim: Claim, verdict: Verdict) -> None:
        """Feedback was judged."""
        self.desk.settle(claim, verdict)
        if self.capture is not None:
            feedback, at = claim.feedback, datetime.now(UTC)
            self.capture.offer_label(
                CapturedLabel(
                    claim.model, claim.version, feedback.request_id, feedback.item, at, verdict.truth, verdict.mask
                )
            )


@dataclass(frozen=True, slots=True)
class Witness:
    """Of one model version. All is called on the event loop, while the answer is on its way, and costs microseconds."""

    facts: ModelFacts
    desk: FeedbackDesk
    capture: Capture | None

    def answered(self, asked: Asked, params: Params, said: object, conclude: Callable[[], Prediction]) -> None:
        """`said`: what a judge recalls of the answer, None for nothing; `conclude`: the prediction, asked for later
        and on another thread, if at all."""
        if said is not None and asked.request_id and self.desk.remembers:
            self.desk.remember(self.facts.model, self.facts.version, asked.request_id, asked.index, said)
        if self.capture is not None and self.capture.wants():
            self.capture.offer(CapturedAnswer(self.facts, asked, datetime.now(UTC), params, conclude))

    def heard(self, request_id: str, first: int, said: Sequence[object]) -> None:
        """What another server answered a request with, from its `first` text or choice on."""
        if request_id and self.desk.remembers:
            for index, one in enumerate(said, first):
                self.desk.remember(self.facts.model, self.facts.version, request_id, index, one)


@dataclass(frozen=True, slots=True)
class PictureWitness:
    """Of one version of a model that answers about pictures at once."""

    witness: Witness
    judge: PictureJudge

    def recall(self, outputs: Mapping[str, Array], sample: Sample, prediction: Prediction) -> object:
        """On any thread. None where nothing is remembered."""
        return self.judge.recall(outputs, sample, prediction) if self.witness.desk.remembers else None

    def answered(self, asked: Asked, params: Params, said: object, prediction: Prediction) -> None:
        """A picture has its answer."""
        self.witness.answered(asked, params, said, lambda: prediction)

    def answered_rows(self, request_id: str, outputs: Mapping[str, Array]) -> None:
        """Tensors have theirs, [n, …]: the first of them are remembered."""
        desk, facts = self.witness.desk, self.witness.facts
        first = {name: array[:MAX_REMEMBERED_ROWS] for name, array in outputs.items()}
        for index, said in enumerate(self.judge.recall_rows(first)):
            desk.remember(facts.model, facts.version, request_id, index, said)

    def wants_rows(self) -> bool:
        """Whether the request that is being answered has an id, and anything is remembered."""
        return bool(CURRENT_REQUEST.get()) and self.witness.desk.remembers
