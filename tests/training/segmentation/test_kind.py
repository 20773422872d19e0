"""Segmentation through the same loop as every kind: learn, evaluate, leave evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from tasks.errors import InvalidRecipe
from tests.mask_source import MASK_LABELS, square_source
from training.data.annotation import IGNORED
from training.data.config import DigitsConfig
from training.data.source import open_source
from training.history import EpochRecord
from training.kind import open_kind
from training.recipe import Recipe, parse_recipe
from training.run import build_learner, run_fit
from training.segmentation.kind import SegmentationKind
from training.segmentation.report import SegmentationEvaluation


def tiny_recipe(**changes: Any) -> Recipe:
    """A U-Net of a few thousand weights, for pictures letterboxed to 16 × 16."""
    facts = {
        "name": "tiny",
        "task": "segmentation",
        "data": {"source": "digits"},
        "image": {"height": 16, "width": 16, "fit": "letterbox"},
        "model": {
            "architecture": "unet",
            "options": {"widths": [8], "depth": 1},
            "backbone": {"architecture": "resnet", "options": {"depths": [1, 1], "widths": [8, 16], "stem": "small"}},
        },
        "optimiser": {"learning_rate": 2e-2},
        "schedule": {"epochs": 12, "batch_size": 6},
        **changes,
    }
    return parse_recipe(facts, "tiny")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[SegmentationEvaluation, list[EpochRecord]]:
    recipe, source, kind = tiny_recipe(augment={"translate": 0.1, "invert": 0.0}), square_source(), SegmentationKind()
    learner = build_learner(recipe, kind, source, None)
    history = run_fit(recipe, kind, learner, source, tmp_path_factory.mktemp("run"), lambda record: None, None)
    return kind.evaluate(learner.network, source, recipe), history


def test_it_learns(trained: tuple[SegmentationEvaluation, list[EpochRecord]]) -> None:
    evaluation, history = trained
    assert history[-1].train_loss < history[0].train_loss / 2
    assert evaluation.metrics["val_miou"] > 0.6
    assert evaluation.metrics["test_miou"] > 0.6


def test_it_is_judged_in_pixels_of_the_originals(trained: tuple[SegmentationEvaluation, list[EpochRecord]]) -> None:
    evaluation, _ = trained
    # 12 pictures of 24 × 20, of which the first row belongs to nobody; the network saw 16 × 13 of them.
    assert evaluation.validation.confusion.sum() == 12 * 23 * 20


def test_its_evidence(trained: tuple[SegmentationEvaluation, list[EpochRecord]], tmp_path: Path) -> None:
    evaluation, history = trained
    evaluation.write_figures(history, tmp_path)
    pictures = {path.stem for path in tmp_path.glob("*.png")}
    assert pictures == {"learning_curve", "masks", "class_scores", "confusion_matrix"}
    facts = msgspec.json.decode((tmp_path / "segmentation.json").read_bytes())
    assert tuple(facts["iou"]) == MASK_LABELS
    assert np.mean(list(facts["iou"].values())) == pytest.approx(evaluation.metrics["val_miou"])


def test_a_mask_never_shows_the_padding_as_a_class(
    trained: tuple[SegmentationEvaluation, list[EpochRecord]],
) -> None:
    evaluation, _ = trained
    for panel in evaluation.panels:
        assert (panel.true[:, :1] == IGNORED).all()


def test_a_frozen_backbone_does_not_move(tmp_path: Path) -> None:
    recipe = tiny_recipe(schedule={"epochs": 2, "frozen_epochs": 1, "batch_size": 6})
    kind, source = SegmentationKind(), square_source()
    learner = build_learner(recipe, kind, source, None)
    backbone = learner.network.backbone
    seen = [snapshot(backbone)]
    run_fit(recipe, kind, learner, source, tmp_path, lambda record: seen.append(snapshot(backbone)), None)
    before, frozen, free = seen
    assert torch.equal(before, frozen)
    assert not torch.equal(frozen, free)


def snapshot(module: torch.nn.Module) -> torch.Tensor:
    """Every number in a module's state, one after the other."""
    return torch.cat([tensor.flatten().double() for tensor in module.state_dict().values()])


def test_data_without_masks_is_refused() -> None:
    with pytest.raises(InvalidRecipe, match="masks"):
        open_kind("segmentation").labels(open_source(DigitsConfig()))


def test_a_weight_for_every_class_or_none() -> None:
    recipe, kind = tiny_recipe(loss={"class_weights": [1.0, 2.0]}), SegmentationKind()
    with pytest.raises(InvalidRecipe, match="2 numbers and the data 3 labels"):
        build_learner(recipe, kind, square_source(), None)
