"""Which positions of a detector's maps are to find which object, and how sure of it they should be."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from training.detection.overlap import area, pairwise_iou
from training.networks.detector import CROWD

AssignmentName = Literal["aligned", "centre"]

TOP_POSITIONS = 8
"""Positions per object in aligned assignment. TOOD takes 13 of maps that are forty times larger."""
SCORE_POWER, OVERLAP_POWER = 1.0, 6.0
"""How much class and box count in the alignment of a position; the values of the paper."""
CENTRE_RADIUS = 1.5
"""In centre sampling: how far from its middle an object is looked for, in strides."""
SIDES_PER_STRIDE = 4.0
"""In centre sampling: the longest side of an object that is looked for in a map, in strides of that map."""

MIN_PROPOSAL_OVERLAP = 0.5
"""Intersection over union from which on a proposal is one of an object; the value of Faster R-CNN."""


class Positions(NamedTuple):
    """Every position of every map, finest map first: centres [A, 2] as (x, y) and strides [A], in input pixels."""

    centres: Tensor
    strides: Tensor


class Guess(NamedTuple):
    """What the network says at each position: class scores of 0…1 [B, A, C] and boxes [B, A, 4]. No gradients."""

    scores: Tensor
    boxes: Tensor


class Truth(NamedTuple):
    """Boxes [B, M, 4] in input pixels and class ids [B, M], with PADDING and CROWD among them."""

    boxes: Tensor
    class_ids: Tensor


class Assignment(NamedTuple):
    """For each position [B, A]: `owner`, which object of the truth it is to find, −1 for none; `quality`, the score of
    0…1 that the object's class should have there, 0 without object; `weight` of its box in the loss; `ignored`: neither
    object nor background, because it lies in a crowd."""

    owner: Tensor
    quality: Tensor
    weight: Tensor
    ignored: Tensor


def assign(name: AssignmentName, positions: Positions, guess: Guess, truth: Truth) -> Assignment:
    """By the rule of this name."""
    return {"aligned": assign_aligned, "centre": assign_centre}[name](positions, guess, truth)


def assign_aligned(positions: Positions, guess: Guess, truth: Truth) -> Assignment:
    """Task-aligned assignment (Feng et al., "TOOD", 2021): an object goes to the positions that already do best at
    both, naming and framing it. A position claimed by two objects goes to the one that it overlaps more."""
    real = truth.class_ids >= 0
    overlap = pairwise_iou(truth.boxes, guess.boxes)
    wanted = truth.class_ids.clamp_min(0).unsqueeze(1).expand(-1, guess.scores.shape[1], -1)
    scores = guess.scores.gather(2, wanted).transpose(1, 2)
    near = (reach_of(positions, truth.boxes) < 1).all(dim=-1) & real.unsqueeze(2)
    alignment = scores.pow(SCORE_POWER) * overlap.pow(OVERLAP_POWER) * near
    count = min(TOP_POSITIONS, alignment.shape[2])
    # A little more than nothing keeps the positions near an object ahead where no box overlaps it yet.
    best = (alignment + near * 1e-12).topk(count, dim=2).indices
    chosen = torch.zeros_like(near).scatter_(2, best, True) & near
    owner = settle_rivals(chosen, overlap)
    mine = one_object(owner, truth.boxes.shape[1])
    alignment, overlap = alignment * mine, overlap * mine
    strongest, widest = alignment.amax(dim=2, keepdim=True), overlap.amax(dim=2, keepdim=True)
    quality = (alignment / strongest.clamp_min(1e-12) * widest).sum(dim=1)
    return Assignment(owner, quality, quality, in_crowd(positions.centres, truth) & (owner < 0))


def assign_centre(positions: Positions, guess: Guess, truth: Truth) -> Assignment:
    """Centre sampling (Tian et al., "FCOS", 2019): an object goes to the positions around its middle in the map of its
    size; a position claimed by two to the smaller one. Their score should be the overlap they reach."""
    real = truth.class_ids >= 0
    sizes = truth.boxes[..., 2:] - truth.boxes[..., :2]
    middles = (truth.boxes[..., :2] + truth.boxes[..., 2:]) / 2
    distance = (positions.centres - middles.unsqueeze(2)).abs().amax(dim=-1)
    longest = sizes.amax(dim=-1, keepdim=True)
    coarsest = positions.strides == positions.strides.max()
    finest = positions.strides == positions.strides.min()
    fits = ((longest <= SIDES_PER_STRIDE * positions.strides) | coarsest) & (
        (longest > SIDES_PER_STRIDE / 2 * positions.strides) | finest
    )
    chosen = (distance < CENTRE_RADIUS * positions.strides) & fits & real.unsqueeze(2)
    owner = settle_rivals(chosen, -area(truth.boxes).unsqueeze(2).expand_as(distance))
    mine = one_object(owner, truth.boxes.shape[1])
    quality = (pairwise_iou(truth.boxes, guess.boxes) * mine).sum(dim=1)
    return Assignment(owner, quality, (owner >= 0).float(), in_crowd(positions.centres, truth) & (owner < 0))


def assign_overlapping(proposals: Tensor, corrected: Tensor, truth: Truth) -> Assignment:
    """The second stage of Faster R-CNN (Ren et al., 2015): a proposal [B, K, 4] goes to the object that it overlaps
    most, if by MIN_PROPOSAL_OVERLAP. Its score should be the overlap that its corrected box [B, K, 4] reaches."""
    overlap = pairwise_iou(truth.boxes, proposals)
    chosen = (overlap >= MIN_PROPOSAL_OVERLAP) & (truth.class_ids >= 0).unsqueeze(2)
    owner = settle_rivals(chosen, overlap)
    mine = one_object(owner, truth.boxes.shape[1])
    quality = (pairwise_iou(truth.boxes, corrected) * mine).sum(dim=1)
    middles = (proposals[..., :2] + proposals[..., 2:]) / 2
    return Assignment(owner, quality, (owner >= 0).float(), in_crowd(middles, truth) & (owner < 0))


def reach_of(positions: Positions, boxes: Tensor) -> Tensor:
    """How far each position lies from the middle of each box [B, M, 4], in half sides of it: [B, M, A, (x, y)].

    A side counts as no shorter than two strides, so that even the thinnest object has positions near it.
    """
    low, high = boxes[..., :2].unsqueeze(2), boxes[..., 2:].unsqueeze(2)
    halves = torch.maximum((high - low) / 2, positions.strides.unsqueeze(1))
    return (positions.centres - (low + high) / 2).abs() / halves


def settle_rivals(chosen: Tensor, preference: Tensor) -> Tensor:
    """Of the objects that claim a position, bool [B, M, A], the most preferred one: its index [B, A], −1 for none."""
    if chosen.shape[1] == 0:
        return torch.full((chosen.shape[0], chosen.shape[2]), -1, device=chosen.device)
    best = torch.where(chosen, preference, -torch.inf).argmax(dim=1)
    return torch.where(chosen.any(dim=1), best, -1)


def one_object(owner: Tensor, num_objects: int) -> Tensor:
    """[B, A] → bool [B, M, A]: whose each position is."""
    return owner.unsqueeze(1) == torch.arange(num_objects, device=owner.device).view(1, -1, 1)


def in_crowd(points: Tensor, truth: Truth) -> Tensor:
    """Whether points [A, 2] of all pictures, or [B, A, 2] of each, lie in a region that is not judged: bool [B, A]."""
    low, high = truth.boxes[..., :2].unsqueeze(2), truth.boxes[..., 2:].unsqueeze(2)
    spread = points.unsqueeze(-3)
    inside = ((spread >= low) & (spread <= high)).all(dim=-1)
    return (inside & (truth.class_ids == CROWD).unsqueeze(2)).any(dim=1)
