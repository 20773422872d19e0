"""Annotated objects as tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.image import Placement
from training.data.annotation import Annotation
from training.data.source import Target
from training.detection.overlap import area
from training.networks.detector import CROWD, PADDING

MIN_VISIBLE = 0.4
"""Share of a box that must lie inside the picture for its object to be learnt: less tells nobody what it is."""


class BoxTargets:
    """An annotation → boxes float32 [B, M, 4] in input pixels and class ids int64 [B, M], see `Detector.losses`."""

    version = "boxes-1"

    def encode(self, target: Target, placement: Placement) -> NDArray[np.float32]:
        """Rows [n, 6]: left, top, right, bottom, class id, and 1 for a crowd."""
        assert isinstance(target, Annotation)
        boxes = placement.to_input(target.boxes.reshape(-1, 2, 2)).reshape(-1, 4)
        rows: NDArray[np.float32] = np.column_stack((boxes, target.class_ids, target.crowd)).astype(np.float32)
        return rows

    def collate(self, encoded: Sequence[NDArray[np.float32]]) -> tuple[Tensor, ...]:
        longest = max(len(rows) for rows in encoded)
        boxes = np.zeros((len(encoded), longest, 4), np.float32)
        class_ids = np.full((len(encoded), longest), PADDING, np.int64)
        for index, rows in enumerate(encoded):
            boxes[index, : len(rows)] = rows[:, :4]
            class_ids[index, : len(rows)] = np.where(rows[:, 5] > 0, CROWD, rows[:, 4])
        return torch.from_numpy(boxes), torch.from_numpy(class_ids)


def clip_targets(boxes: Tensor, class_ids: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Targets of pictures of this size, cut at their edges. What has nothing left is PADDING; an object of which little
    is left becomes a CROWD: neither right nor wrong to find."""
    corners = boxes.view(*boxes.shape[:2], 2, 2)
    limits = boxes.new_tensor((width, height))
    clipped = torch.minimum(corners.clamp_min(0), limits).view(boxes.shape)
    left = area(clipped)
    class_ids = torch.where((left < MIN_VISIBLE * area(boxes)) & (class_ids >= 0), CROWD, class_ids)
    return clipped, torch.where(left > 0, class_ids, PADDING)
