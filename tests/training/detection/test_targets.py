from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.image import ImageSpec, place_image
from training.data.annotation import Annotation
from training.detection.targets import BoxTargets, clip_targets
from training.networks.detector import CROWD, PADDING


def annotation(*boxes: tuple[float, float, float, float], crowd: bool = False) -> Annotation:
    count = len(boxes)
    return Annotation(
        np.array(boxes, np.float32).reshape(-1, 4), np.arange(count, dtype=np.int64), np.full(count, crowd, np.bool_)
    )


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(["stretch", "letterbox", "crop"]))
def test_boxes_come_back_to_where_they_were_in_the_original(height: int, width: int, fit: str) -> None:
    placement = place_image(height, width, ImageSpec(height=64, width=96, fit=fit))  # type: ignore[arg-type]
    box = (0.1 * width, 0.2 * height, 0.7 * width, 0.9 * height)
    rows = BoxTargets().encode(annotation(box), placement)
    back = placement.to_original(rows[0, :4].reshape(2, 2)).ravel()
    assert np.allclose(back, box, atol=1e-3 * max(height, width))


def test_batches_are_padded_and_crowds_are_marked() -> None:
    placement = place_image(64, 64, ImageSpec(height=64, width=64))
    codec = BoxTargets()
    pictures = [annotation((0, 0, 8, 8), (1, 1, 9, 9)), annotation(), annotation((2, 2, 4, 4), crowd=True)]
    boxes, class_ids = codec.collate([codec.encode(each, placement) for each in pictures])
    assert (boxes.shape, boxes.dtype) == ((3, 2, 4), torch.float32)
    assert class_ids.tolist() == [[0, 1], [PADDING, PADDING], [CROWD, PADDING]]
    empty_boxes, empty_ids = codec.collate([codec.encode(annotation(), placement)] * 2)
    assert (empty_boxes.shape, empty_ids.shape) == ((2, 0, 4), (2, 0))


def test_what_leaves_the_picture_is_cut_then_not_judged_then_gone() -> None:
    boxes = torch.tensor(
        [[[-4.0, 0.0, 6.0, 10.0], [-8.0, 0.0, 2.0, 10.0], [-20.0, 0.0, -5.0, 10.0], [0.0, 0.0, 0.0, 0.0]]]
    )
    class_ids = torch.tensor([[3, 3, 3, PADDING]])
    clipped, kept = clip_targets(boxes, class_ids, 32, 32)
    assert kept.tolist() == [[3, CROWD, PADDING, PADDING]]
    assert clipped[0, 0].tolist() == [0, 0, 6, 10]
    assert clip_targets(boxes, torch.full((1, 4), CROWD), 32, 32)[1].tolist() == [[CROWD, CROWD, PADDING, PADDING]]
