"""The Judge protocol: the task's own measure of right and wrong, before and after compression."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

from registry.manifest import ClassEvidence
from tasks.task import Array, ParamValue, Prediction, Task

JUDGE_CLASSES: Mapping[str, str] = {
    "classification": "export.judge_classification:ClassificationJudge",
    "detection": "export.judge_detection:DetectionJudge",
    "segmentation": "export.judge_segmentation:SegmentationJudge",
}
"""Task kind → its judge."""


class Judge(Protocol):
    """Sees every held-out example once, with what the trained model and one variant concluded."""

    @property
    def metric(self) -> str:
        """The name of the figure that may not drop."""
        ...

    @property
    def params(self) -> Mapping[str, ParamValue]:
        """What predictions are to be decoded with before they are judged; empty for the task's own defaults."""
        ...

    def add(self, trained: Prediction, variant: Prediction, target: Any) -> None: ...

    def metrics(self) -> dict[str, float]:
        """Figures of the variant, and of the trained model with the prefix `trained_`. Every judge gives its metric
        and `expected_calibration_error`."""
        ...

    def score(self, places: Sequence[int]) -> float:
        """The metric of the variant on some of the examples, by the order in which they were added; not a number where
        these can not tell it."""
        ...

    def per_class(self) -> tuple[ClassEvidence, ...]:
        """Every class before and after, in the order of the labels."""
        ...

    def worths(self) -> list[tuple[float, float]]:
        """How right the trained model and the variant were about each example, 0 to 1, in the order in which they were
        added."""
        ...

    def conclusions(self) -> list[tuple[str, str]]:
        """What the trained model and the variant concluded about each example, in words and in the order in which they
        were added: an example has changed where the two differ."""
        ...

    def truth(self, target: Any) -> str:
        """What a model concludes that is right."""
        ...

    def group(self, target: Any) -> int:
        """The class whose golden examples this one may join; −1 for an example without any. To be asked after every
        example was added: where several classes are shown, the rarest counts."""
        ...

    @property
    def decisive_output(self) -> str:
        """The output that decisions are made from."""
        ...

    def margin(self, outputs: Mapping[str, Array]) -> float:
        """By how much every number of one item's decisive output may move before its decision can change."""
        ...


def open_judge(task: Task) -> Judge:
    """A new judge for a task."""
    module, name = JUDGE_CLASSES[str(task.spec.__struct_config__.tag)].split(":")
    factory: Any = getattr(import_module(module), name)
    judge: Judge = factory(task)
    return judge


def rarest(classes: Iterable[int], occurrences: Mapping[int, int]) -> int:
    """The class that occurs least, the first of those that tie; −1 for none."""
    return min(sorted(set(classes)), key=lambda class_id: occurrences[class_id], default=-1)
