from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tasks.errors import InvalidRecipe, NotFound
from tasks.image import ImageSpec
from training.networks.build import build_classifier
from training.networks.config import ModelConfig
from training.warm_start import find_weights, warm_start

IMAGE = ImageSpec(height=16, width=16)


def build(width: int, num_classes: int, mean: float = 0.5) -> torch.nn.Module:
    options = {"depths": [1], "widths": [width], "stem": "small", "mean": [mean] * 3}
    return build_classifier(ModelConfig(architecture="resnet", options=options), num_classes, IMAGE)


def test_the_trunk_is_taken_over_and_the_head_is_not(tmp_path: Path) -> None:
    old, new = build(8, 3, mean=0.25), build(8, 5)
    head = new.head.weight.clone()  # type: ignore[union-attr, operator]
    save_file(old.state_dict(), tmp_path / "model.safetensors")
    warm_start(new, find_weights(str(tmp_path), ""), "old")  # type: ignore[arg-type]
    images = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(old.eval()(images)[1], new.eval()(images)[1])
    assert torch.equal(head, new.head.weight)  # type: ignore[union-attr, arg-type]


def test_another_backbone_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match=r"'old' is another one"):
        warm_start(build(8, 3), build(4, 3).state_dict(), "old")  # type: ignore[arg-type]


def test_missing_weights_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match=r"model\.safetensors"):
        find_weights(str(tmp_path), "")
    with pytest.raises(NotFound, match="nobody-trained"):
        find_weights("nobody", f"sqlite:///{tmp_path}/mlflow.db")
