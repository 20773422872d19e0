from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from training.narrow_strides import safe_strides

# In a process of its own: without the remedy it may end by a signal.
LEARN = """
import sys, torch
from torch import nn
from training.narrow_strides import safe_strides

width, size = int(sys.argv[1]), int(sys.argv[2])
torch.manual_seed(0)
layer = nn.Conv2d(width, 16, 1, stride=2, bias=False)
pixels, wanted = torch.randn(16, size, size, width).permute(0, 3, 1, 2), torch.randn(16, 16, size // 2, size // 2)
with safe_strides(layer):
    layer(pixels).backward(wanted)
seen = pixels[:, :, ::2, ::2]
true = torch.einsum("bohw,bihw->oi", wanted.double(), seen.double())
torch.testing.assert_close(layer.weight.grad[:, :, 0, 0].double(), true, rtol=1e-3, atol=1e-2)
"""


@pytest.mark.parametrize(("width", "size"), [(4, 48), (8, 48), (12, 64)])
def test_few_channels_learn_from_pictures_as_they_lie(width: int, size: int) -> None:
    done = subprocess.run([sys.executable, "-c", LEARN, str(width), str(size)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_layout_is_changed_for_those_layers_alone_and_only_inside() -> None:
    network = nn.Sequential(nn.Conv2d(8, 16, 1, stride=2), nn.Conv2d(16, 32, 1, stride=2), nn.Conv2d(32, 8, 3))
    seen: list[bool] = []
    pixels = torch.zeros(1, 16, 16, 8).permute(0, 3, 1, 2)
    with safe_strides(network):
        network[0].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].is_contiguous()))
        network[1].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].is_contiguous()))
        network[0](pixels)
        network[1](torch.zeros(1, 8, 8, 16).permute(0, 3, 1, 2))
    network[0](pixels)
    assert seen == [True, False, False]
