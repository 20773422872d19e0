"""What a dense detector's guesses cost, given which position is to find which object."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.detection.assignment import Assignment, Truth
from training.detection.overlap import generalised_iou

BOX_WEIGHT = 2.0
"""Of the box loss, against 1 of the class loss; the ratio of TOOD."""


def dense_losses(logits: Tensor, boxes: Tensor, truth: Truth, assignment: Assignment) -> dict[str, Tensor]:
    """`class_loss` and `box_loss` of class logits [B, A, C] and boxes [B, A, 4], per object of the batch.

    The score of a class is to be the quality of the box that stands behind it, by cross-entropy with soft targets
    (Li et al., "Generalized Focal Loss", 2020): a well-named but badly framed box must not come first. A batch without
    any object teaches the background.
    """
    found = assignment.owner >= 0
    owner = assignment.owner.clamp_min(0)
    wanted = torch.zeros_like(logits)
    total = assignment.weight.sum().clamp_min(1)
    if truth.boxes.shape[1] == 0:
        box_loss = boxes.sum() * 0
    else:
        class_ids = truth.class_ids.gather(1, owner).clamp_min(0)
        wanted.scatter_(2, class_ids.unsqueeze(2), (assignment.quality * found).unsqueeze(2))
        targets = truth.boxes.gather(1, owner.unsqueeze(2).expand(-1, -1, 4))
        distance = 1 - generalised_iou(boxes[found], targets[found])
        box_loss = (distance * assignment.weight[found]).sum() / total
    costs = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(dim=2)
    class_loss = (costs * ~assignment.ignored).sum() / total
    return {"class_loss": class_loss, "box_loss": BOX_WEIGHT * box_loss}
