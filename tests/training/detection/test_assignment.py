from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.detection.assignment import TOP_POSITIONS, Assignment, AssignmentName, Guess, Positions, Truth, assign
from training.networks.dense import lay_grid
from training.networks.detector import CROWD, PADDING

NAMES: tuple[AssignmentName, ...] = ("aligned", "centre")
NUM_CLASSES = 3


def positions(size: int = 64) -> Positions:
    grids = [lay_grid(torch.empty(1, 1, size // stride, size // stride), stride) for stride in (8, 16)]
    return Positions(*(torch.cat(parts) for parts in zip(*grids, strict=True)))


def random_guess(seed: int, batch: int) -> Guess:
    generator = torch.Generator().manual_seed(seed)
    count = len(positions().strides)
    corners = torch.rand(batch, count, 2, generator=generator) * 50
    sides = torch.rand(batch, count, 2, generator=generator) * 30 + 2
    return Guess(
        torch.rand(batch, count, NUM_CLASSES, generator=generator), torch.cat((corners, corners + sides), dim=2)
    )


def honest_guess(truth: Truth) -> Guess:
    """Every position says the first object's box, and its class by half."""
    count = len(positions().strides)
    return Guess(torch.full((1, count, NUM_CLASSES), 0.5), truth.boxes[:, :1].expand(-1, count, -1))


@given(st.integers(0, 2**31), st.sampled_from(NAMES), st.integers(0, 6))
@settings(max_examples=40, deadline=None)
def test_every_assignment_is_sound(seed: int, name: AssignmentName, num_objects: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(2, num_objects, 2, generator=generator) * 60
    boxes = torch.cat((corners, corners + torch.rand(2, num_objects, 2, generator=generator) * 40), dim=2)
    class_ids = torch.randint(CROWD, NUM_CLASSES, (2, num_objects), generator=generator)
    made = assign(name, positions(), random_guess(seed, 2), Truth(boxes, class_ids))
    found = made.owner >= 0
    assert made.owner.shape == (2, len(positions().strides))
    assert made.owner.max() < max(1, num_objects)
    if num_objects:
        assert (class_ids.gather(1, made.owner.clamp_min(0))[found] >= 0).all(), "padding and crowds own nothing"
    assert not made.quality[~found].any()
    assert not made.weight[~found].any()
    assert ((made.quality >= 0) & (made.quality <= 1 + 1e-5)).all()
    assert not (made.ignored & found).any()
    if name == "aligned" and num_objects:
        per_object = (made.owner.unsqueeze(1) == torch.arange(num_objects).view(1, -1, 1)).sum(dim=2)
        assert per_object.max() <= TOP_POSITIONS


@pytest.mark.parametrize("name", NAMES)
def test_pictures_without_objects_assign_nothing(name: AssignmentName) -> None:
    for truth in (
        Truth(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64)),
        Truth(torch.zeros(2, 3, 4), torch.full((2, 3), PADDING)),
    ):
        made = assign(name, positions(), random_guess(0, 2), truth)
        assert (made.owner == -1).all()
        assert not made.ignored.any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("box", [[20.0, 20.0, 44.0, 44.0], [33.0, 10.0, 35.0, 40.0], [0.5, 0.5, 3.0, 3.0]])
def test_even_the_thinnest_object_is_found_near_itself(name: AssignmentName, box: list[float]) -> None:
    truth = Truth(torch.tensor([[box]]), torch.tensor([[1]]))
    made = assign(name, positions(), honest_guess(truth), truth)
    found = made.owner[0] >= 0
    assert found.any()
    middle = (truth.boxes[0, 0, :2] + truth.boxes[0, 0, 2:]) / 2
    distance = (positions().centres[found] - middle).abs().amax(dim=1)
    sides = truth.boxes[0, 0, 2:] - truth.boxes[0, 0, :2]
    assert (distance <= torch.maximum(sides.max() / 2, 1.5 * positions().strides[found])).all()
    assert made.quality.max() == pytest.approx(1.0), "a perfect box deserves the full score"


def test_aligned_assignment_prefers_positions_that_already_do_well() -> None:
    truth = Truth(torch.tensor([[[8.0, 8.0, 56.0, 56.0]]]), torch.tensor([[2]]))
    count = len(positions().strides)
    guess = Guess(torch.full((1, count, NUM_CLASSES), 0.1), truth.boxes.expand(-1, count, -1).clone())
    better = [18, 27, 36]
    guess.scores[0, better, 2] = 0.9
    made = assign("aligned", positions(), guess, truth)
    assert (made.owner[0, better] == 0).all()
    assert set(made.quality[0].topk(3).indices.tolist()) == set(better)


def test_centre_sampling_gives_small_objects_to_the_fine_map_and_large_ones_to_the_coarse() -> None:
    for side, stride in ((20.0, 8.0), (60.0, 16.0)):
        box = torch.tensor([[[32 - side / 2, 32 - side / 2, 32 + side / 2, 32 + side / 2]]])
        truth = Truth(box, torch.tensor([[0]]))
        owner = assign("centre", positions(), honest_guess(truth), truth).owner[0]
        assert set(positions().strides[owner == 0].tolist()) == {stride}


@pytest.mark.parametrize("name", NAMES)
def test_positions_in_a_crowd_are_neither_object_nor_background(name: AssignmentName) -> None:
    boxes = torch.tensor([[[0.0, 0.0, 32.0, 64.0], [40.0, 20.0, 60.0, 40.0]]])
    truth = Truth(boxes, torch.tensor([[CROWD, 1]]))
    made: Assignment = assign(name, positions(), random_guess(3, 1), truth)
    left = positions().centres[:, 0] <= 32
    assert made.ignored[0][left & (made.owner[0] < 0)].all()
    assert not made.ignored[0][~left].any()
