"""The Judge protocol: what feedback means for one kind of model, and which judge a task of pictures gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from serving.feedback.given import Feedback
from serving.feedback.judge_classification import ClassificationJudge
from serving.feedback.judge_detection import DetectionJudge
from serving.feedback.judge_segmentation import SegmentationJudge
from serving.feedback.verdict import Verdict
from tasks.classification import ClassificationSpec
from tasks.detection_spec import DetectionSpec
from tasks.errors import BadInput, Unsupported
from tasks.segmentation import SegmentationSpec
from tasks.task import Array, Prediction, Sample, TaskSpec


class Judge(Protocol):
    """Of one model version. Stateless and thread-safe; its methods may take milliseconds."""

    takes: ClassVar[tuple[str, ...]]
    """Fields of `Feedback` that mean something for this kind."""

    def recall_given(self, prediction: bytes) -> object:
        """What is judged of a prediction as its receiver sends it back, JSON. Raises BadInput or Unsupported."""
        ...

    def judge(self, said: object, feedback: Feedback) -> Verdict:
        """`said`: what was recalled. Raises BadInput, TooLarge or Unsupported for a truth that can not be right."""
        ...


class PictureJudge(Judge, Protocol):
    """Of a model that answers about pictures at once."""

    def recall(self, outputs: Mapping[str, Array], sample: Sample, prediction: Prediction) -> object:
        """What is remembered of an answer until it is judged: as little as that takes."""
        ...

    def recall_rows(self, outputs: Mapping[str, Array]) -> Sequence[object]:
        """The same of the graph's own outputs [n, …] for tensors, quickly; nothing where those can not be judged."""
        ...


def picture_judge(spec: TaskSpec, max_pixels: int) -> PictureJudge:
    """Of a task by its spec. `max_pixels`: of a mask. Raises Unsupported for a kind that has none."""
    if isinstance(spec, ClassificationSpec):
        return ClassificationJudge(spec.labels)
    if isinstance(spec, DetectionSpec):
        return DetectionJudge(spec.labels)
    if isinstance(spec, SegmentationSpec):
        return SegmentationJudge(spec.labels, max_pixels)
    raise Unsupported(f"feedback on models of kind {spec.__struct_config__.tag!r} is not understood")


def check_fields(judge: Judge, feedback: Feedback, model: str) -> None:
    """Raises BadInput for feedback without any truth, or with one of another kind of model."""
    takes = " or ".join(judge.takes)
    if strange := [name for name in feedback.fields if name not in judge.takes]:
        raise BadInput(f"model {model!r} takes no {' or '.join(strange)} as feedback; send {takes}")
    if not feedback.fields:
        raise BadInput(f"the feedback does not say what would have been right; send {takes} beside request_id")
