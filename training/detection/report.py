"""The evidence of a finished training: average precision, the score threshold, and boxes drawn on held-out pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from tasks.detection import Detection
from tasks.detection_spec import DetectionSpec
from tasks.image import decode_image
from training.data.source import DataSource, Split
from training.detection.coco import CocoResult, judge
from training.detection.evaluation import Findings, find_objects
from training.detection.figures import Panel, draw_panels, draw_precision_recall, draw_thresholds
from training.detection.threshold import ScoreSweep, sweep_scores
from training.figures import draw_learning_curve
from training.history import EpochRecord
from training.networks.detector import Detector
from training.recipe import Recipe

PICTURES_SHOWN = 16
CURVE_POINTS = 200
"""Of the sweep of thresholds, in the JSON."""


def build_spec(labels: tuple[str, ...], recipe: Recipe) -> DetectionSpec:
    """The task that a recipe trains for."""
    return DetectionSpec(labels=labels, image=recipe.image_spec)


@dataclass(frozen=True)
class DetectionEvaluation:
    """What the model is worth. The score threshold in `spec` was chosen on validation data."""

    spec: DetectionSpec
    metrics: dict[str, float]
    result: CocoResult
    sweep: ScoreSweep
    panels: tuple[Panel, ...]
    """Some validation pictures."""

    def write_figures(self, history: Sequence[EpochRecord], folder: Path) -> None:
        draw_learning_curve(history, "validation AP", folder / "learning_curve.png")
        draw_precision_recall(self.result, folder / "precision_recall.png")
        draw_thresholds(self.sweep, self.spec.score_threshold, folder / "score_threshold.png")
        draw_panels(self.panels, folder / "predictions.png")
        step = max(1, len(self.sweep.thresholds) // CURVE_POINTS)
        facts = {
            "labels": self.spec.labels,
            "score_threshold": self.spec.score_threshold,
            "summary": self.result.summary,
            "class_ap": self.result.class_ap(),
            "class_ap50": self.result.class_ap(0),
            "sweep": {name: values[::step].tolist() for name, values in self.sweep._asdict().items()},
        }
        (folder / "detection.json").write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=2))


def evaluate(network: Detector, source: DataSource, recipe: Recipe) -> DetectionEvaluation:
    """Runs validation and test data through the trained network."""
    task = Detection(build_spec(source.labels, recipe))
    validation, test = source.split("validation"), source.split("test")
    findings = find_objects(network, task, validation)
    sweep = sweep_scores(findings.truth, findings.found)
    # Never below what a request may ask for.
    threshold = max(task.spec.min_score_threshold, sweep.best(task.spec.score_threshold))
    spec = msgspec.structs.replace(task.spec, score_threshold=threshold)
    result = judge_findings(findings, task.labels)
    test_result = judge_findings(find_objects(network, task, test), task.labels)
    metrics = {
        **{f"val_{name}": value for name, value in complete(result).items()},
        **{f"test_{name}": value for name, value in complete(test_result).items()},
        "val_f1": float(sweep.f1.max(initial=0.0)),
        "score_threshold": threshold,
    }
    return DetectionEvaluation(spec, metrics, result, sweep, show_some(validation, findings, spec))


def judge_findings(findings: Findings, labels: tuple[str, ...]) -> CocoResult:
    """As COCO does."""
    return judge(findings.truth, findings.sizes, findings.found, labels)


def complete(result: CocoResult) -> dict[str, float]:
    """The summary with `ap` in any case: data without a single object are no reason to fail after hours of training."""
    return {"ap": 0.0, **result.summary}


def show_some(split: Split, findings: Findings, spec: DetectionSpec) -> tuple[Panel, ...]:
    """The first pictures of a split, with what a client would be shown."""
    panels = []
    for index in range(min(PICTURES_SHOWN, len(split))):
        truth, found = findings.truth[index], findings.found[index]
        picture = decode_image(split[index].payload, spec.image)
        # Large pictures were not decoded at their full size.
        scales = np.tile(np.divide(picture.pixels.shape[1::-1], (picture.original_width, picture.original_height)), 2)
        shown = found.scores >= spec.score_threshold
        rows = zip(found.class_ids[shown], found.scores[shown], strict=True)
        panels.append(
            Panel(
                picture.pixels,
                truth.boxes * scales,
                [spec.labels[class_id] for class_id in truth.class_ids],
                found.boxes[shown] * scales,
                [f"{spec.labels[class_id]} {score:.2f}" for class_id, score in rows],
            )
        )
    return tuple(panels)
