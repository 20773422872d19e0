"""What a transformers folder says about its preprocessing, and folders that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from export.transformers_folder import image_spec_of, input_facts_of, load_model
from tasks.errors import BadInput
from tasks.image import ImageSpec


@pytest.mark.parametrize(
    ("preprocessing", "expected"),
    [
        ({"size": {"height": 24, "width": 32}}, ImageSpec(height=24, width=32)),
        ({"size": 32, "resample": 3}, ImageSpec(height=32, width=32, interpolation="bicubic")),
        ({"size": {"shortest_edge": 32}}, ImageSpec(height=32, width=32, fit="crop")),
        (
            {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224}},
            ImageSpec(height=224, width=224, fit="crop"),
        ),
        ({"size": 256, "do_center_crop": True, "crop_size": 224}, ImageSpec(height=224, width=224, fit="crop")),
        ({"size": 32, "do_center_crop": False, "crop_size": 24}, ImageSpec(height=32, width=32)),
    ],
)
def test_size_and_fit(preprocessing: dict[str, Any], expected: ImageSpec) -> None:
    assert image_spec_of(preprocessing) == expected


@pytest.mark.parametrize(
    ("preprocessing", "expected"),
    [
        ({"size": {"height": 24, "width": 32}}, ImageSpec(height=24, width=32)),
        ({"size": {"shortest_edge": 80, "longest_edge": 133}}, ImageSpec(height=80, width=80, fit="letterbox")),
        (
            {"size": {"shortest_edge": 54}, "do_center_crop": True, "crop_size": {"height": 48, "width": 48}},
            ImageSpec(height=48, width=48, fit="letterbox"),
        ),
    ],
)
def test_detectors_and_segmenters_see_the_whole_picture(preprocessing: dict[str, Any], expected: ImageSpec) -> None:
    assert image_spec_of(preprocessing, "detection") == image_spec_of(preprocessing, "segmentation") == expected


def test_without_a_size_the_toml_must_give_one() -> None:
    with pytest.raises(BadInput, match=r"add \[image\]"):
        image_spec_of({})


def test_normalisation_follows_the_switches() -> None:
    on = input_facts_of({"do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": 0.25})
    assert (on.rescale, on.mean, on.std) == (1 / 255, (0.5, 0.4, 0.3), (0.25, 0.25, 0.25))
    off = input_facts_of({"do_rescale": False, "do_normalize": False, "image_mean": 0.5, "image_std": 0.5})
    assert off.is_identity
    assert (off.channels, input_facts_of({"do_flip_channel_order": True}).channels) == ("rgb", "bgr")


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "resnet"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(BadInput, match="pickled weights are not read"):
        load_model(tmp_path, "classification")


def test_folder_of_another_kind_of_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(BadInput, match="does not open as a classification model"):
        load_model(tmp_path, "classification")
