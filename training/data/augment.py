"""Random changes of a training batch, made on tensors after the task's `preprocess`.

They run on whole batches of already resized pictures: a fraction of the cost of doing them one picture at a time. A
class survives all of them; boxes and masks are moved by the very movement that was drawn for their pictures.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.data.movement import draw_movement, draw_some, flat
from training.recipe import AugmentConfig


class BatchAugmenter:
    """Changes pictures as an `AugmentConfig` says. All randomness comes from the generator that each call is given."""

    def __init__(self, config: AugmentConfig) -> None:
        self._config = config

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """uint8 [B, H, W, 3] → float32 [B, H, W, 3] of 0…255."""
        movement = draw_movement(self._config, images, generator)
        return self._recolour(movement.move_pixels(images.float(), "reflection"), generator)

    def augment_boxes(self, images: Tensor, boxes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pictures as by `augment`, and boxes float32 [B, M, 4] in their pixels, which may come to lie outside."""
        movement = draw_movement(self._config, images, generator)
        pixels = self._recolour(movement.move_pixels(images.float(), "border"), generator)
        return pixels, movement.move_boxes(boxes, *images.shape[1:3])

    def augment_masks(self, images: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pictures as by `augment`, and masks uint8 [B, H, W], IGNORED where a picture had nothing to show."""
        movement = draw_movement(self._config, images, generator)
        pixels = self._recolour(movement.move_pixels(images.float(), "border"), generator)
        return pixels, movement.move_masks(masks)

    def _recolour(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """What changes values and moves nothing."""
        config = self._config
        if config.contrast:
            middle = pixels.mean(dim=(1, 2, 3), keepdim=True)
            pixels = (pixels - middle) * (1 + symmetric(pixels, config.contrast, generator)) + middle
        if config.brightness:
            pixels = pixels + 255 * symmetric(pixels, config.brightness, generator)
        if config.invert:
            inverted = draw_some(pixels, config.invert, generator)
            pixels = torch.where(inverted.view(-1, 1, 1, 1), 255 - pixels, pixels)
        if config.erase:
            pixels = self._erase(pixels, generator)
        return pixels.clamp(0, 255)

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


def symmetric(pixels: Tensor, extent: float, generator: torch.Generator) -> Tensor:
    """One number of −extent…extent for each picture, shaped to be combined with it: [B, 1, 1, 1]."""
    return flat(pixels, extent, generator).view(-1, 1, 1, 1)
