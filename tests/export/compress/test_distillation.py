"""Distillation: on every kind of model a smaller network learns from the trained one, and answers in its place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from export.compress.distillation import Distillation
from export.compress.distilled_tuning import DistilledTuning
from export.compress.imitating_learner import Imitation
from export.compress.learning import FineTuning, Learning
from export.compress.magnitude_pruning import MagnitudePruning
from tasks.errors import InvalidRecipe
from tests.tiny_learning import BACKBONE, learning_of
from training.networks.captioner import Captioner
from training.networks.config import ModelConfig
from training.networks.network import Network, Trainable
from training.recipe import TaskName

TASKS: tuple[TaskName, ...] = ("classification", "detection", "segmentation", "captioning", "text_generation")
PICTURES: tuple[TaskName, ...] = TASKS[:-1]
SHORT = FineTuning(batches_per_epoch=2)
Learnings = Callable[[TaskName], Learning]


def num_weights(network: Trainable) -> int:
    return sum(weight.numel() for weight in network.parameters())


def distil(learning: Learning, **options: Any) -> Trainable:
    """By a step of two batches."""
    technique = Distillation(**{"epochs": 1, "batches_per_epoch": 2, **options})
    return technique.compress(copy.deepcopy(learning.trained), learning)


def shapes(network: Trainable, learning: Learning) -> dict[str, tuple[int, ...]]:
    """What it answers, its embedding and what only its own decoder reads aside."""
    if not isinstance(network, Network):
        return {"logits": tuple(network(torch.zeros(1, 5, dtype=torch.int64)).shape)}
    image = learning.recipe.image_spec
    answers = network(torch.zeros(1, image.height, image.width, 3, dtype=torch.uint8))
    free = {"embedding"} | ({"features"} if isinstance(network, Captioner) else set())
    return {n: tuple(a.shape) for n, a in zip(network.output_names, answers, strict=True) if n not in free}


@pytest.mark.parametrize("task", TASKS)
def test_a_network_of_half_the_width_answers_in_its_teachers_place(task: TaskName, learnings: Learnings) -> None:
    learning = learnings(task)
    before = copy.deepcopy(learning.trained.state_dict())
    student = distil(learning)
    assert num_weights(student) < 0.6 * num_weights(learning.trained)
    assert not student.training
    assert shapes(student, learning) == shapes(learning.trained, learning)
    after = learning.trained.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "a teacher does not learn"
    assert all(weight.requires_grad for weight in learning.trained.parameters())


@pytest.mark.parametrize("task", PICTURES)
def test_what_was_seen_can_be_imitated_too(task: TaskName, learnings: Learnings) -> None:
    learning = learnings(task)
    plain, featured = (distil(learning, imitation=Imitation(feature_weight=weight)) for weight in (0.0, 5.0))
    assert all(torch.isfinite(weight).all() for weight in featured.parameters())
    assert any(not torch.equal(*pair) for pair in zip(plain.parameters(), featured.parameters(), strict=True))
    assert num_weights(featured) == num_weights(plain), "projections stay behind"


def test_who_imitates_comes_to_answer_alike(learnings: Learnings, tmp_path: Path) -> None:
    """Of a teacher with a mind of its own, which no label gives away."""
    learning = learnings("text_generation")
    tokens = torch.randint(0, 200, (8, 20), generator=torch.Generator().manual_seed(0))
    teacher = copy.deepcopy(learning.trained)
    with torch.no_grad():
        for weight in teacher.parameters():
            weight.mul_(4 if weight.ndim > 1 else 1)
        wanted = teacher(tokens).log_softmax(-1)
    learning = Learning(teacher, learning.recipe, learning.spec, learning.source)
    distances = []
    for share in (0.0, 0.99):
        imitation = Imitation(weight=share)
        student = distil(learning, imitation=imitation, batches_per_epoch=60, model=learning.recipe.model)
        with torch.no_grad():
            guessed = student(tokens).log_softmax(-1)
        distances.append(float((wanted.exp() * (wanted - guessed)).sum(-1).mean()))
    assert distances[1] < 0.7 * distances[0]


def test_a_student_of_another_architecture_and_backbone(learnings: Learnings) -> None:
    learning = learnings("segmentation")
    backbone = {"architecture": "mobilenet", "options": {"depths": [1, 1], "widths": [8, 8], "stem_width": 4}}
    model = ModelConfig(architecture="deeplab", options={"width": 8}, backbone=ModelConfig(**backbone))
    student = distil(learning, model=model)
    assert type(student).__name__ == "DeepLab"
    assert shapes(student, learning) == shapes(learning.trained, learning)


def test_both_looks_of_a_two_stage_detector_are_imitated(tmp_path: Path, learnings: Learnings) -> None:
    options = {"strides": [4, 8], "channels": 8, "num_candidates": 6, "crop_size": 3, "hidden": 16}
    model = {"architecture": "faster_rcnn", "options": options, "backbone": BACKBONE}
    learning = learning_of("detection", tmp_path, **model)
    student = distil(learning)
    assert shapes(student, learning) == shapes(learning.trained, learning)


@pytest.mark.parametrize(
    ("task", "model", "complaint"),
    [
        ("detection", {"options": {"strides": [4, 8], "channels": 8, "num_candidates": 7}}, "7×4 boxes .* 20×4"),
        ("detection", {"options": {"strides": [4], "channels": 8, "num_candidates": 20}}, "64×2 places .* 80×2"),
        ("detection", {"backbone": {"architecture": "resnet", "options": {"depth": 3}}}, "depth"),
        ("detection", {"architecture": "resnet"}, "'resnet' is not the architecture of a detector"),
        ("detection", {"warm_start": "digits", "options": {"strides": [4, 8]}}, "leave out warm_start"),
    ],
)
def test_students_that_can_not_stand_in_are_refused_before_anything_is_learnt(
    task: TaskName, model: dict[str, Any], complaint: str, learnings: Learnings
) -> None:
    backbone = ModelConfig(**model.pop("backbone", BACKBONE))
    config = ModelConfig(**{"architecture": "fcos", **model}, backbone=backbone)
    with pytest.raises(InvalidRecipe, match=complaint):
        distil(learnings(task), model=config)


def test_captioners_must_see_as_many_cells(learnings: Learnings) -> None:
    learning = learnings("captioning")
    seen = learning.recipe.model
    finer, fewer = ({**seen.options, "strides": strides} for strides in ([8, 4, 2], [4]))
    same = distil(learning, model=msgspec.structs.replace(seen, options=finer))
    assert shapes(same, learning) == shapes(learning.trained, learning)
    with pytest.raises(InvalidRecipe, match="8×8 cells and the trained network in 4×4"):
        distil(learning, model=msgspec.structs.replace(seen, options=fewer))


def test_maps_of_other_sizes_can_not_be_imitated(learnings: Learnings) -> None:
    learning = learnings("segmentation")
    backbone = ModelConfig(architecture="resnet", options={"depths": [1, 1], "widths": [8, 8], "stem": "small"})
    model = ModelConfig(architecture="unet", options={"widths": [8]}, backbone=backbone)
    with pytest.raises(InvalidRecipe, match="leave out feature_weight"):
        distil(learning, model=model, imitation=Imitation(feature_weight=1.0))
    assert num_weights(distil(learning, model=model)) > 0


def test_texts_have_no_features() -> None:
    for technique in (Distillation, DistilledTuning):
        assert "leave out" in technique(imitation=Imitation(feature_weight=1.0)).find_obstacle("text_generation")
        assert technique().find_obstacle("text_generation") == ""


def test_what_steps_before_did_is_not_thrown_away_in_silence(learnings: Learnings) -> None:
    learning = learnings("classification")
    changed = copy.deepcopy(learning.trained)
    with torch.no_grad():
        next(changed.parameters()).mul_(0.5)
    with pytest.raises(InvalidRecipe, match="distilled_tuning"):
        Distillation(epochs=1).compress(changed, learning)


@pytest.mark.parametrize("task", ["classification", "captioning"])
def test_a_pruned_network_learns_from_what_it_was_and_keeps_its_zeros(task: TaskName, learnings: Learnings) -> None:
    learning = learnings(task)
    pruned = MagnitudePruning(sparsity=0.7, fine_tuning=SHORT).compress(copy.deepcopy(learning.trained), learning)
    zeros = {name: weight == 0 for name, weight in pruned.named_parameters() if weight.ndim > 1}
    before = copy.deepcopy(pruned.state_dict())
    technique = DistilledTuning(imitation=Imitation(feature_weight=1.0), fine_tuning=SHORT)
    tuned = technique.compress(pruned, learning)
    assert all(torch.equal(tuned.get_parameter(name) == 0, where) for name, where in zeros.items())
    assert any(not torch.equal(before[name], weight) for name, weight in tuned.state_dict().items())
