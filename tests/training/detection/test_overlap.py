from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.detection.overlap import generalised_iou, pairwise_iou

coordinates = st.floats(-50, 50)
boxes = st.tuples(coordinates, coordinates, st.floats(0.1, 40), st.floats(0.1, 40)).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)


def test_known_overlaps() -> None:
    first = torch.tensor([[[0.0, 0.0, 10.0, 10.0]]])
    second = torch.tensor(
        [[[0.0, 0.0, 10.0, 10.0], [5.0, 0.0, 15.0, 10.0], [20.0, 0.0, 30.0, 10.0], [3.0, 3.0, 3.0, 9.0]]]
    )
    assert pairwise_iou(first, second)[0, 0].tolist() == pytest.approx([1.0, 1 / 3, 0.0, 0.0])
    # Of the box around both, 30 × 10, a third is in neither.
    assert generalised_iou(first, second)[0, :3].tolist() == pytest.approx([1.0, 1 / 3, -1 / 3])


@given(boxes, boxes)
def test_generalised_overlap_is_symmetric_bounded_and_never_above_the_plain_one(
    one: list[float], two: list[float]
) -> None:
    first, second = torch.tensor([one]), torch.tensor([two])
    value = generalised_iou(first, second)
    assert torch.allclose(value, generalised_iou(second, first), atol=1e-5)
    assert -1 <= value.item() <= pairwise_iou(first[None], second[None]).item() + 1e-4


def test_boxes_apart_are_drawn_together() -> None:
    guess = torch.tensor([20.0, 0.0, 30.0, 10.0], requires_grad=True)
    generalised_iou(guess, torch.tensor([0.0, 0.0, 10.0, 10.0])).backward()  # type: ignore[no-untyped-call]
    assert guess.grad is not None
    assert guess.grad[0] < 0
