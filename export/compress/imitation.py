"""How far one network is from answering as another does: what a student is punished for beside its own mistakes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.detection.losses import BOX_WEIGHT
from training.detection.overlap import generalised_iou


def differ_in_shares(taught: Tensor, known: Tensor, temperature: float) -> Tensor:
    """Logits of classes that exclude each other, [N, …, classes] of student and teacher → a scalar, the mean of all
    places (Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015).

    A temperature above 1 shows what the teacher thinks of the classes that it does not choose. Gradients shrink with
    its square, which is made good, so that the weight of this loss means the same at any temperature."""
    guessed, wanted = (functional.log_softmax(logits.float() / temperature, dim=-1) for logits in (taught, known))
    divergence = functional.kl_div(guessed, wanted, reduction="none", log_target=True).sum(dim=-1).mean()
    return divergence * temperature**2


def differ_in_objects(taught: tuple[Tensor, Tensor], known: tuple[Tensor, Tensor]) -> Tensor:
    """Class logits [B, A, classes] and boxes [B, A, 4] of every place, of student and teacher → a scalar.

    Scores of classes stand each for itself and need no temperature; boxes count as far as the teacher is sure that
    there is something. Both are per object, as the losses of detection are."""
    (logits, boxes), (wanted_logits, wanted_boxes) = taught, known
    scores = wanted_logits.sigmoid()
    sure = scores.amax(dim=2)
    num_objects = sure.sum().clamp_min(1)
    costs, least = (
        functional.binary_cross_entropy_with_logits(each, scores, reduction="sum") for each in (logits, wanted_logits)
    )
    distance = ((1 - generalised_iou(boxes, wanted_boxes)) * sure).sum()
    return (costs - least + BOX_WEIGHT * distance) / num_objects


def differ_in_features(taught: Tensor, known: Tensor) -> Tensor:
    """Features [N, …, channels] of student and teacher → the squared distance of their directions, 0…4, the mean of all
    places. Their lengths are free: scales of features mean nothing behind normalisation."""
    student, teacher = (functional.normalize(each.float(), dim=-1) for each in (taught, known))
    return (student - teacher).square().sum(dim=-1).mean()


def sum_of(losses: list[Tensor]) -> Tensor:
    return torch.stack(losses).sum()
