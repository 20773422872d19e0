"""Detection through the same loop as every kind: learn, evaluate, leave evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tasks.errors import InvalidRecipe
from training.data.annotation import Annotation
from training.data.config import DigitsConfig
from training.data.digits import encode_png
from training.data.source import SPLITS, AnnotatedSplitSource, Example, MemorySplit, open_source
from training.detection.kind import DetectionKind
from training.detection.report import DetectionEvaluation
from training.history import EpochRecord
from training.kind import open_kind
from training.recipe import Recipe, parse_recipe
from training.run import build_learner, run_fit

LABELS = ("dark", "bright")
NUM_PICTURES = 24


def tiny_recipe(**changes: Any) -> Recipe:
    """A detector of a few thousand weights, for pictures letterboxed to 32 × 32."""
    facts = {
        "name": "tiny",
        "task": "detection",
        "data": {"source": "digits"},
        "image": {"height": 32, "width": 32, "fit": "letterbox"},
        "model": {
            "architecture": "fcos",
            "options": {"strides": [4, 8], "channels": 8, "depth": 1, "num_candidates": 20},
            "backbone": {
                "architecture": "resnet",
                "options": {"depths": [1, 1, 1], "widths": [8, 8, 16], "stem": "halve"},
            },
        },
        "optimiser": {"learning_rate": 2e-2},
        "schedule": {"epochs": 12, "batch_size": 8},
        **changes,
    }
    return parse_recipe(facts, "tiny")


def draw_picture(rng: np.random.Generator, num_objects: int) -> Example:
    """Rectangles of two brightnesses, side by side on grey: 64 × 48 pixels."""
    pixels = np.full((48, 64), 120, np.uint8)
    boxes, class_ids = [], []
    for index in range(num_objects):
        left, top = 32 * index + int(rng.integers(1, 10)), int(rng.integers(1, 26))
        class_id = int(rng.integers(2))
        pixels[top : top + 20, left : left + 20] = 255 * class_id
        boxes.append((left, top, left + 20, top + 20))
        class_ids.append(class_id)
    annotation = Annotation(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(class_ids, np.int64), np.zeros(num_objects, np.bool_)
    )
    return Example(encode_png(pixels), annotation)


def rectangle_source() -> AnnotatedSplitSource:
    rng = np.random.default_rng(0)
    splits = {name: MemorySplit(draw_picture(rng, index % 3) for index in range(NUM_PICTURES)) for name in SPLITS}
    return AnnotatedSplitSource(LABELS, (), splits)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[DetectionEvaluation, list[EpochRecord]]:
    recipe, source, kind = tiny_recipe(augment={"translate": 0.05}), rectangle_source(), DetectionKind()
    learner = build_learner(recipe, kind, source, None)
    history = run_fit(recipe, kind, learner, source, tmp_path_factory.mktemp("run"), lambda record: None, None)
    return kind.evaluate(learner.network, source, recipe), history


def test_it_learns(trained: tuple[DetectionEvaluation, list[EpochRecord]]) -> None:
    evaluation, history = trained
    assert history[-1].train_loss < history[0].train_loss / 2
    assert evaluation.metrics["val_ap50"] > 0.5
    assert evaluation.metrics["test_ap50"] > 0.5


def test_the_monitored_figure_is_that_of_the_task(trained: tuple[DetectionEvaluation, list[EpochRecord]]) -> None:
    # Overlaps in input pixels are those in original pixels, so what was watched is what comes out.
    evaluation, history = trained
    assert max(record.score for record in history) == pytest.approx(evaluation.metrics["val_ap"], abs=0.02)


def test_the_score_threshold_is_chosen_on_validation(trained: tuple[DetectionEvaluation, list[EpochRecord]]) -> None:
    evaluation, _ = trained
    assert evaluation.spec.score_threshold == evaluation.metrics["score_threshold"]
    assert evaluation.spec.score_threshold >= evaluation.spec.min_score_threshold
    chosen = evaluation.sweep.thresholds == evaluation.spec.score_threshold
    assert evaluation.sweep.f1[chosen].max() == evaluation.metrics["val_f1"]


def test_its_evidence(trained: tuple[DetectionEvaluation, list[EpochRecord]], tmp_path: Path) -> None:
    evaluation, history = trained
    evaluation.write_figures(history, tmp_path)
    pictures = {path.stem for path in tmp_path.glob("*.png")}
    assert pictures == {"learning_curve", "precision_recall", "score_threshold", "predictions"}
    facts = msgspec.json.decode((tmp_path / "detection.json").read_bytes())
    assert tuple(facts["class_ap"]) == LABELS
    assert np.mean(list(facts["class_ap"].values())) == pytest.approx(evaluation.metrics["val_ap"])


def test_boxes_are_drawn_where_they_are(trained: tuple[DetectionEvaluation, list[EpochRecord]]) -> None:
    evaluation, _ = trained
    first = rectangle_source().split("validation")[1]
    assert isinstance(first.target, Annotation)
    panel = evaluation.panels[1]
    scale = panel.picture.shape[1] / 64
    np.testing.assert_allclose(panel.true_boxes, first.target.boxes * scale, atol=1e-6)


def test_one_class_a_picture_is_no_data_for_a_detector() -> None:
    with pytest.raises(InvalidRecipe, match=r"max_digits"):
        DetectionKind().labels(open_source(DigitsConfig()))


def test_what_only_classifiers_learn_from_is_refused() -> None:
    recipe, source = tiny_recipe(augment={"mixup_alpha": 0.2}), rectangle_source()
    with pytest.raises(InvalidRecipe, match="mixup_alpha"):
        build_learner(recipe, open_kind("detection"), source, None)
