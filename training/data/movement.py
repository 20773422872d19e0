"""A random movement of each picture of a batch, and what becomes of the pixels, boxes and masks it takes along."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.data.annotation import IGNORED
from training.recipe import AugmentConfig

Edge = Literal["reflection", "border"]
"""What is seen beyond the edge of a picture: its mirror image, or its outermost pixels again and again. Mirrored
objects would be objects that no target speaks of."""


class Movement(NamedTuple):
    """`theta` float32 [B, 2, 3]: from where in the picture each position of the result comes, both as −1…1 from edge
    to edge (as `affine_grid` has it); None moves nothing. `flipped` bool [B]: which are mirrored after that, if any.
    """

    theta: Tensor | None
    flipped: Tensor | None

    def move_pixels(self, pixels: Tensor, edge: Edge) -> Tensor:
        """float32 [B, H, W, 3] → the same, interpolated."""
        if self.theta is not None:
            planes = pixels.permute(0, 3, 1, 2)
            grid = functional.affine_grid(self.theta, list(planes.shape), align_corners=False)
            moved = functional.grid_sample(planes, grid, padding_mode=edge, align_corners=False)
            pixels = moved.permute(0, 2, 3, 1)
        if self.flipped is not None:
            pixels = torch.where(self.flipped.view(-1, 1, 1, 1), pixels.flip(2), pixels)
        return pixels

    def move_masks(self, masks: Tensor) -> Tensor:
        """uint8 [B, H, W] → the same: the nearest pixel of the mask, IGNORED beyond its edge."""
        if self.theta is not None:
            # One more than the value, so that what is beyond the edge can be told by its zero.
            planes = masks.unsqueeze(1).float() + 1
            grid = functional.affine_grid(self.theta, list(planes.shape), align_corners=False)
            moved = functional.grid_sample(planes, grid, mode="nearest", padding_mode="zeros", align_corners=False)
            values = moved.squeeze(1)
            masks = torch.where(values == 0, IGNORED, values - 1).to(torch.uint8)
        if self.flipped is not None:
            masks = torch.where(self.flipped.view(-1, 1, 1), masks.flip(2), masks)
        return masks

    def move_boxes(self, boxes: Tensor, height: int, width: int) -> Tensor:
        """float32 [B, M, 4] in pixels of pictures of this size → the upright boxes around what they have become,
        wherever that lies: nothing is clipped."""
        if self.theta is not None:
            size = boxes.new_tensor((width, height))
            corners = boxes[..., [0, 1, 2, 1, 0, 3, 2, 3]].view(*boxes.shape[:2], 4, 2) * 2 / size - 1
            linear, shift = self.theta[:, :, :2], self.theta[:, :, 2]
            back = torch.linalg.inv(linear).transpose(1, 2)
            moved = ((corners - shift[:, None, None]).flatten(1, 2) @ back).view(corners.shape)
            moved = (moved + 1) / 2 * size
            boxes = torch.cat((moved.amin(dim=2), moved.amax(dim=2)), dim=-1)
        if self.flipped is not None:
            left, top, right, bottom = boxes.unbind(-1)
            mirrored = torch.stack((width - right, top, width - left, bottom), dim=-1)
            boxes = torch.where(self.flipped.view(-1, 1, 1), mirrored, boxes)
        return boxes


def draw_movement(config: AugmentConfig, images: Tensor, generator: torch.Generator) -> Movement:
    """One random rotation, scaling, shear and shift, and perhaps a flip, for each picture of [B, …]."""
    theta, flipped = None, None
    if config.rotate_degrees or config.scale or config.translate or config.shear:
        angle = flat(images, math.radians(config.rotate_degrees), generator)
        zoom = 1 + flat(images, config.scale, generator)
        shear = flat(images, config.shear, generator)
        cosine, sine = angle.cos() / zoom, angle.sin() / zoom
        shift_x = flat(images, 2 * config.translate, generator)
        shift_y = flat(images, 2 * config.translate, generator)
        rows = (cosine, shear * cosine - sine, shift_x, sine, shear * sine + cosine, shift_y)
        theta = torch.stack(rows, dim=1).view(-1, 2, 3)
    if config.flip_horizontal:
        flipped = draw_some(images, config.flip_horizontal, generator)
    return Movement(theta, flipped)


def flat(images: Tensor, extent: float, generator: torch.Generator) -> Tensor:
    """One number of −extent…extent for each picture: [B]."""
    return (torch.rand(len(images), generator=generator, device=images.device) * 2 - 1) * extent


def draw_some(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Which pictures are lucky, each with the given probability: bool [B]."""
    return torch.rand(len(images), generator=generator, device=images.device) < share
