from __future__ import annotations

import pytest
import torch

from tasks.errors import Unsupported
from training.models.lstm import LSTM, Options, build


def network() -> LSTM:
    torch.manual_seed(0)
    return build(Options(width=12, hidden=20, depth=2), 40, 16).eval()


def test_nothing_depends_on_what_follows() -> None:
    model, tokens = network(), torch.randint(0, 40, (2, 16))
    with torch.inference_mode():
        whole = model(tokens)
        torch.testing.assert_close(model(tokens[:, :7]), whole[:, :7], atol=1e-5, rtol=1e-5)
        other = model(torch.cat([tokens[:, :7], (tokens[:, 7:] + 1) % 40], dim=1))
    torch.testing.assert_close(other[:, :7], whole[:, :7], atol=1e-5, rtol=1e-5)
    assert whole.shape == (2, 16, 40)


def test_it_remembers_from_the_first_step_on() -> None:
    layer = network().layers[0]
    # Gates stand in the order i, f, g, o.
    assert layer.bias_ih_l0[20:40].tolist() == [1.0] * 20


def test_it_attends_to_nothing() -> None:
    with pytest.raises(Unsupported, match="LSTM"):
        network()(torch.zeros(1, 2, dtype=torch.long), torch.zeros(1, 1, 12))
