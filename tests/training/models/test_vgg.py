"""VGG as the paper has it, on pictures of one size, and as a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.to_onnx import write_onnx
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from training.networks.build import build_classifier
from training.networks.classifier import Classifier
from training.networks.config import ModelConfig
from training.networks.network import FeatureMap

IMAGE = ImageSpec(height=24, width=40)


def build_vgg(image: ImageSpec = IMAGE, **options: Any) -> Classifier:
    torch.manual_seed(0)
    options = {"depths": [1, 1, 2], "widths": [4, 6, 8], "hidden": [32, 16], **options}
    return build_classifier(ModelConfig(architecture="vgg", options=options), 5, image)


def test_the_default_is_vgg_16() -> None:
    with torch.device("meta"):
        config = ModelConfig(architecture="vgg")
        model = build_classifier(config, 1000, ImageSpec(height=224, width=224))
    weights = {name: weight for name, weight in model.named_parameters() if weight.ndim > 1 or "dense" in name}
    # 138,357,544 in all, less the biases of the convolutions, which their normalisation has instead, and of the head.
    assert sum(weight.numel() for weight in weights.values()) == 138_357_544 - 4_224 - 1_000


def test_maps_are_halved_after_every_stage() -> None:
    assert build_vgg().backbone.feature_maps == (FeatureMap(4, 1), FeatureMap(6, 2), FeatureMap(8, 4))


def test_the_embedding_knows_where_things_are() -> None:
    model = build_vgg(dropout=0).eval()
    picture = torch.zeros(1, 24, 40, 3, dtype=torch.uint8)
    picture[:, 4:8, 4:8] = 255
    assert not torch.allclose(model.embed(picture), model.embed(picture.flip(1, 2)), atol=1e-3)


def test_all_weights_learn() -> None:
    model = build_vgg()
    model(torch.randint(0, 256, (2, 24, 40, 3), dtype=torch.uint8))[0].square().sum().backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


def test_dense_layers_leave_outputs_out_while_training() -> None:
    model, picture = build_vgg(dropout=0.5), torch.full((2, 24, 40, 3), 99, dtype=torch.uint8)
    assert not torch.equal(model.train()(picture)[1], model(picture)[1])
    assert torch.equal(model.eval()(picture)[1], model(picture)[1])


def test_a_picture_that_can_not_be_halved_so_often() -> None:
    with pytest.raises(InvalidRecipe, match="3 stages make a picture 8 times smaller, and one of 7×40"):
        build_vgg(ImageSpec(height=7, width=40))


def test_a_number_for_each_stage() -> None:
    with pytest.raises(InvalidRecipe, match="one number for each stage"):
        build_vgg(depths=[1, 1])


def test_the_graph_answers_as_the_network_does(tmp_path: Path) -> None:
    model = build_vgg().eval()
    write_onnx(model, IMAGE, model.output_names, tmp_path / "vgg.onnx")
    pictures = torch.randint(0, 256, (3, 24, 40, 3), dtype=torch.uint8)
    runtime = OnnxRuntime(tmp_path / "vgg.onnx")
    answers = runtime.run({"image": pictures.numpy()})
    runtime.close()
    with torch.inference_mode():
        for name, expected in zip(model.output_names, model(pictures), strict=True):
            assert np.allclose(answers[name], expected.numpy(), atol=1e-4)
