"""What imitation costs: nothing where the student answers as the teacher does, and the less the nearer it comes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from export.compress.imitation import differ_in_features, differ_in_objects, differ_in_shares


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 3


def boxes(count: int, seed: int = 0) -> Tensor:
    corner = torch.rand(2, count, 2, generator=torch.Generator().manual_seed(seed)) * 40
    return torch.cat((corner, corner + 10), dim=2)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_equal_answers_cost_nothing_and_nearer_ones_less(temperature: float) -> None:
    teacher, other = random(2, 5, 7), random(2, 5, 7, seed=1)
    costs = [
        float(differ_in_shares(teacher + share * (other - teacher), teacher, temperature)) for share in (0, 0.3, 1)
    ]
    assert costs[0] == pytest.approx(0, abs=1e-6)
    assert costs[0] < costs[1] < costs[2]


def test_what_is_added_to_all_classes_says_nothing() -> None:
    teacher = random(4, 3)
    assert differ_in_shares(teacher + 10, teacher, 2.0) == pytest.approx(0, abs=1e-5)


def test_shares_are_compared_by_their_divergence() -> None:
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3.0), 0.0]])
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert differ_in_shares(student, teacher, 1.0) == pytest.approx(expected, abs=1e-6)


def test_gradients_are_of_one_size_at_any_temperature() -> None:
    norms = []
    for temperature in (4.0, 16.0):
        student = random(8, 10, seed=1).requires_grad_()
        differ_in_shares(student, random(8, 10), temperature).backward()  # type: ignore[no-untyped-call]
        assert student.grad is not None
        norms.append(float(student.grad.norm()))
    assert norms[0] == pytest.approx(norms[1], rel=0.3)


def test_equal_objects_cost_nothing_and_boxes_count_where_the_teacher_is_sure() -> None:
    logits, framed = random(2, 6, 3), boxes(6)
    assert differ_in_objects((logits, framed), (logits, framed)) == pytest.approx(0, abs=1e-4)
    sure = torch.full((2, 6, 3), -20.0)
    sure[:, 0] = 20.0
    moved = framed.clone()
    moved[:, 1:] += 30
    unsure_moved = differ_in_objects((sure, moved), (sure, framed))
    moved[:, 0] += 30
    assert unsure_moved == pytest.approx(0, abs=1e-3)
    assert differ_in_objects((sure, moved), (sure, framed)) > 1


def test_a_picture_without_objects_teaches_the_background() -> None:
    nothing, something = torch.full((1, 4, 2), -20.0), torch.zeros(1, 4, 2)
    assert differ_in_objects((something, boxes(4)[:1]), (nothing, boxes(4)[:1])) > 1


def test_features_are_compared_by_their_direction() -> None:
    teacher = random(2, 4, 4, 6)
    assert differ_in_features(teacher * 5, teacher) == pytest.approx(0, abs=1e-6)
    assert differ_in_features(-teacher, teacher) == pytest.approx(4, abs=1e-5)
