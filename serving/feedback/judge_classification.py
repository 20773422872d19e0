"""Feedback on classifications: the right class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec
import numpy as np

from serving.feedback.class_names import ClassNames
from serving.feedback.given import ClassId, ClassName, Feedback
from serving.feedback.verdict import Cell, Verdict
from serving.json_fields import read_json
from tasks.errors import BadInput
from tasks.task import Array, Prediction, Sample

TOP_K = 5
LABELS, TOP = "labels", "top_5"
WIDE = np.dtype("<u4")


class GivenClass(msgspec.Struct, frozen=True):
    """By its index, or else by its name."""

    class_id: ClassId | None = None
    label: ClassName | None = None


class GivenClasses(msgspec.Struct, frozen=True):
    """The part of a prediction that is judged: classes, most probable first."""

    classes: tuple[GivenClass, ...]


class ClassificationJudge:
    """What is remembered are the indices of the best five classes, four bytes each, however many a caller asked for."""

    takes: ClassVar[tuple[str, ...]] = ("label",)

    def __init__(self, labels: Sequence[str]) -> None:
        self._names = ClassNames(labels)

    def recall(self, outputs: Mapping[str, Array], sample: Sample, prediction: Prediction) -> bytes:
        return self.recall_rows({"logits": outputs["logits"][None]})[0]

    def recall_rows(self, outputs: Mapping[str, Array]) -> list[bytes]:
        """Of logits [n, classes]. Equal ones rank by index, as the task ranks them."""
        logits = outputs["logits"]
        if logits.shape[1] > 4 * TOP_K:
            # Sorting a thousand classes to see five of them would keep the event loop ten times as long.
            best = np.argpartition(-logits, TOP_K - 1, axis=1)[:, :TOP_K]
            best.sort(axis=1)
            order = np.argsort(-np.take_along_axis(logits, best, axis=1), axis=1, kind="stable")
            ranked = np.take_along_axis(best, order, axis=1)
        else:
            ranked = np.argsort(-logits, axis=1, kind="stable")[:, :TOP_K]
        return [row.tobytes() for row in ranked.astype(WIDE)]

    def recall_given(self, prediction: bytes) -> bytes:
        wanted = 'prediction must be what was answered, like {"classes": [{"class_id": 7}]}'
        given = read_json(prediction, GivenClasses, wanted).classes[:TOP_K]
        if not given or any(one.class_id is None and one.label is None for one in given):
            raise BadInput(f"{wanted}: one class or more, each with class_id or label")
        told = [one.class_id if one.class_id is not None else one.label or "" for one in given]
        return np.array([self._names.find(one) for one in told], WIDE).tobytes()

    def judge(self, said: object, feedback: Feedback) -> Verdict:
        assert isinstance(said, bytes)
        assert feedback.label is not None
        ranked = np.frombuffer(said, WIDE).tolist()
        true_id = self._names.find(feedback.label)
        labels = self._names.labels
        label, is_correct, is_listed = labels[true_id], ranked[0] == true_id, true_id in ranked
        counts = {Cell(LABELS, label, "correct" if is_correct else "incorrect"): 1.0}
        told = {"label": label, "predicted": labels[ranked[0]], "correct": is_correct}
        if is_listed or len(ranked) >= min(TOP_K, len(labels)):
            # A shorter list that came back with the feedback does not tell what would have been on the next places.
            counts[Cell(TOP, label, "hit" if is_listed else "miss")] = 1.0
            told["in_top_5"] = is_listed
        return Verdict(told, {"label": label, "class_id": true_id}, counts)
