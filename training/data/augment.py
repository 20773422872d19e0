"""Random changes of a training batch, made on tensors after the task's `preprocess`.

A classification target survives all of them, so they run on whole batches of already resized pictures: a fraction of
the cost of doing them one picture at a time.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from training.recipe import AugmentConfig


class BatchAugmenter:
    """Changes pictures as an `AugmentConfig` says. All randomness comes from the generator that each call is given."""

    def __init__(self, config: AugmentConfig) -> None:
        self._config = config

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """uint8 [B, H, W, 3] → float32 [B, H, W, 3] of 0…255."""
        pixels = images.float()
        config = self._config
        if config.rotate_degrees or config.scale or config.translate or config.shear:
            pixels = self._move(pixels, generator)
        if config.flip_horizontal:
            pixels = choose(pixels, pixels.flip(2), config.flip_horizontal, generator)
        if config.contrast:
            middle = pixels.mean(dim=(1, 2, 3), keepdim=True)
            pixels = (pixels - middle) * (1 + symmetric(pixels, config.contrast, generator)) + middle
        if config.brightness:
            pixels = pixels + 255 * symmetric(pixels, config.brightness, generator)
        if config.invert:
            pixels = choose(pixels, 255 - pixels, config.invert, generator)
        if config.erase:
            pixels = self._erase(pixels, generator)
        return pixels.clamp(0, 255)

    def _move(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """One random rotation, scaling, shear and shift for each picture; the edge is mirrored outwards."""
        config = self._config
        angle = flat(pixels, math.radians(config.rotate_degrees), generator)
        zoom = 1 + flat(pixels, config.scale, generator)
        shear = flat(pixels, config.shear, generator)
        cosine, sine = angle.cos() / zoom, angle.sin() / zoom
        shift_x = flat(pixels, 2 * config.translate, generator)
        shift_y = flat(pixels, 2 * config.translate, generator)
        rows = (cosine, shear * cosine - sine, shift_x, sine, shear * sine + cosine, shift_y)
        theta = torch.stack(rows, dim=1).view(-1, 2, 3)
        planes = pixels.permute(0, 3, 1, 2)
        grid = functional.affine_grid(theta, list(planes.shape), align_corners=False)
        moved = functional.grid_sample(planes, grid, padding_mode="reflection", align_corners=False)
        return moved.permute(0, 2, 3, 1)

    def _erase(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """A square with sides of up to `erase` of the picture, painted in one random grey (Zhong et al., 2017)."""
        batch, height, width, _ = pixels.shape
        centre_y, centre_x, side, grey = torch.rand((4, batch, 1, 1), generator=generator, device=pixels.device)
        rows = torch.arange(height, device=pixels.device).view(1, height, 1) / height
        columns = torch.arange(width, device=pixels.device).view(1, 1, width) / width
        half = side * self._config.erase / 2
        inside = ((rows - centre_y).abs() < half) & ((columns - centre_x).abs() < half)
        return torch.where(inside[..., None], grey[..., None] * 255, pixels)


def mix_up(pixels: Tensor, target_shares: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Blends every picture and its target with another of the batch by one share from Beta(α, α) (Zhang et al., 2017).

    pixels float [B, H, W, 3]; target_shares float [B, C], each row summing to one.
    """
    concentration = torch.full((2,), alpha, device=pixels.device)
    # A Beta variable from two Gammas, because only this sampler takes a generator.
    gammas = torch._standard_gamma(concentration, generator=generator)
    share = (gammas[0] / gammas.sum().clamp_min(1e-12)).clamp(0, 1)
    partner = torch.randperm(len(pixels), generator=generator, device=pixels.device)
    mixed_pixels = torch.lerp(pixels[partner], pixels, share)
    return mixed_pixels, torch.lerp(target_shares[partner], target_shares, share)


def flat(pixels: Tensor, extent: float, generator: torch.Generator) -> Tensor:
    """One number of −extent…extent for each picture: [B]."""
    return (torch.rand(len(pixels), generator=generator, device=pixels.device) * 2 - 1) * extent


def symmetric(pixels: Tensor, extent: float, generator: torch.Generator) -> Tensor:
    """One number of −extent…extent for each picture, shaped to be combined with it: [B, 1, 1, 1]."""
    return flat(pixels, extent, generator).view(-1, 1, 1, 1)


def choose(pixels: Tensor, changed: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Each picture changed with the given probability."""
    lucky = torch.rand(len(pixels), generator=generator, device=pixels.device) < share
    return torch.where(lucky.view(-1, 1, 1, 1), changed, pixels)
