from __future__ import annotations

import torch

from training.networks.roi import crop_boxes


def slope(channel_x: float, channel_y: float) -> torch.Tensor:
    """A map [2, 2, 8, 12] of stride 4 whose values are the x and y of the middles of its cells, in input pixels."""
    y, x = torch.meshgrid(torch.arange(8) * 4 + 2.0, torch.arange(12) * 4 + 2.0, indexing="ij")
    return torch.stack((x * channel_x, y * channel_y)).expand(2, -1, -1, -1)


def test_a_crop_reads_the_map_at_the_middles_of_its_cells() -> None:
    boxes = torch.tensor([[[8.0, 4.0, 28.0, 24.0], [10.0, 10.0, 14.0, 30.0]]]).expand(2, -1, -1)
    crops = crop_boxes(slope(1, 1), boxes, 32, 48, 5)
    assert crops.shape == (2, 2, 2, 5, 5)
    assert torch.allclose(crops[0, 0, 0, 0], torch.tensor([10.0, 14, 18, 22, 26]), atol=1e-4)
    assert torch.allclose(crops[1, 0, 1, :, 3], torch.tensor([6.0, 10, 14, 18, 22]), atol=1e-4)
    assert torch.allclose(crops[0, 1, 1, :, 0], torch.tensor([12.0, 16, 20, 24, 28]), atol=1e-4)


def test_what_lies_outside_of_the_picture_is_zero() -> None:
    boxes = torch.tensor([[[-60.0, 0.0, -20.0, 32.0]]]).expand(2, -1, -1)
    assert not crop_boxes(slope(1, 1) + 1, boxes, 32, 48, 3).any()


def test_boxes_without_area_are_read_at_their_point() -> None:
    boxes = torch.tensor([[[10.0, 10.0, 10.0, 10.0]]]).expand(2, -1, -1)
    assert torch.allclose(crop_boxes(slope(1, 1), boxes, 32, 48, 2), torch.tensor(10.0), atol=1e-4)
