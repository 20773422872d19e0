from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.checkpoint_io import SafetensorsCheckpointIO, flatten, restore

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False), st.text())
TENSORS = st.lists(st.floats(width=32, allow_nan=False), max_size=4).map(torch.tensor)
TREES = st.recursive(
    SCALARS | TENSORS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(), st.integers(0, 99)), inner, max_size=3),
    ),
    max_leaves=12,
)


def same(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and torch.equal(left, right) and left.dtype == right.dtype
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@given(TREES)
@settings(deadline=None)
def test_what_is_flattened_comes_back_the_same(tree: Any) -> None:
    tensors: dict[str, torch.Tensor] = {}
    assert same(tree, restore(flatten(tree, tensors), tensors))


def test_a_file_holds_optimiser_states_of_every_kind(tmp_path: Path) -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    checkpoint = {
        "state_dict": {"a": weight, "shares memory": weight, "transposed": weight.T},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"betas": (0.9, 0.999)}]}],
        "best": math.inf,
        "empty": torch.zeros(0),
    }
    path = tmp_path / "deep" / "last.ckpt"
    SafetensorsCheckpointIO().save_checkpoint(checkpoint, path)
    assert same(checkpoint, SafetensorsCheckpointIO().load_checkpoint(path))
    assert [entry.name for entry in path.parent.iterdir()] == ["last.ckpt"]


def test_an_object_that_would_need_pickling_is_refused_when_saving(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="Path"):
        SafetensorsCheckpointIO().save_checkpoint({"path": tmp_path}, tmp_path / "last.ckpt")
    assert not list(tmp_path.iterdir())
