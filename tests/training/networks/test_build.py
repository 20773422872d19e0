from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from training.networks import architecture
from training.networks.architecture import list_architectures, open_architecture
from training.networks.build import build_classifier, settle_model
from training.networks.config import ModelConfig
from training.networks.network import Normalise

IMAGE = ImageSpec(height=32, width=32)
NETWORKS: dict[str, tuple[str, dict[str, Any], int]] = {
    "resnet basic": ("resnet", {"depths": [1, 1], "widths": [8, 16], "stem": "small"}, 16),
    "resnet bottleneck": (
        "resnet",
        {"block": "bottleneck", "depths": [1, 2], "widths": [8, 16], "stem": "imagenet"},
        64,
    ),
    "vgg": ("vgg", {"depths": [1, 2], "widths": [8, 16], "hidden": [24, 20]}, 20),
    "vgg of convolutions alone": ("vgg", {"depths": [1, 2], "widths": [8, 16], "hidden": []}, 16),
    "mobilenet": ("mobilenet", {"depths": [1, 2], "widths": [8, 16]}, 32),
    "backbone of convolutions": (
        "auto_backbone",
        {"model_type": "resnet", "config": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}},
        16,
    ),
    "backbone of attention": (
        "auto_backbone",
        {
            "model_type": "vit",
            "config": {
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "intermediate_size": 32,
                "patch_size": 8,
            },
        },
        16,
    ),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_uint8_pixels_in_logits_and_embedding_out(case: str) -> None:
    architecture, options, dimension = NETWORKS[case]
    model = build_classifier(ModelConfig(architecture=architecture, options=options), 7, IMAGE).eval()
    images = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    with torch.inference_mode():
        logits, embedding = model(images)
        alone, _ = model(images[1:2])
    assert (logits.shape, logits.dtype) == ((3, 7), torch.float32)
    assert (embedding.shape, embedding.dtype) == ((3, dimension), torch.float32)
    # An answer does not depend on what else is in the batch.
    assert torch.allclose(logits[1:2], alone, atol=1e-5)


@pytest.mark.parametrize("case", NETWORKS)
def test_a_settled_config_builds_the_same_network(case: str) -> None:
    architecture, options, _ = NETWORKS[case]
    config = ModelConfig(architecture=architecture, options=options)
    settled = msgspec.json.decode(msgspec.json.encode(settle_model(config, "backbone")), type=ModelConfig)
    weights = build_classifier(config, 7, IMAGE).state_dict()
    build_classifier(settled, 7, IMAGE).load_state_dict(weights)


def test_normalisation_is_that_of_the_definition() -> None:
    layer = Normalise((0.1, 0.2, 0.3), (0.5, 0.25, 2.0))
    pixels = layer(torch.tensor([[[[255, 0, 51]]]], dtype=torch.uint8))
    expected = torch.tensor([(1 - 0.1) / 0.5, (0 - 0.2) / 0.25, (0.2 - 0.3) / 2.0])
    assert torch.allclose(pixels.flatten(), expected, atol=1e-6)


def test_the_default_resnet_is_resnet_18() -> None:
    model = build_classifier(ModelConfig(architecture="resnet"), 1000, ImageSpec(height=224, width=224))
    assert sum(weight.numel() for weight in model.parameters()) == 11_689_512


def test_every_file_of_the_folder_is_an_architecture() -> None:
    assert {name for name, _, _ in NETWORKS.values()} == set(list_architectures("backbone"))


def test_pretrained_weights_and_their_normalisation_come_from_a_local_folder(tmp_path: Path) -> None:
    from transformers import ResNetConfig, ResNetModel

    pretrained = ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]))
    pretrained.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.2, 0.2, 0.2]}')
    config = ModelConfig(architecture="auto_backbone", options={"pretrained": str(tmp_path)})
    model = build_classifier(config, 3, IMAGE).eval()
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    with torch.inference_mode():
        expected = pretrained.eval()((images.permute(0, 3, 1, 2) / 255 - 0.5) / 0.2).last_hidden_state.mean((2, 3))
        assert torch.allclose(model(images)[1], expected, atol=1e-4)
    # The folder may go: what a checkpoint carries builds the network again.
    settled = settle_model(config, "backbone")
    for path in tmp_path.iterdir():
        path.unlink()
    rebuilt = build_classifier(settled, 3, IMAGE).eval()
    rebuilt.load_state_dict(model.state_dict())
    with torch.inference_mode():
        assert torch.allclose(rebuilt(images)[0], model(images)[0])


def test_weights_in_pickled_form_are_refused(tmp_path: Path) -> None:
    from transformers import ResNetConfig

    ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1]).save_pretrained(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    config = ModelConfig(architecture="auto_backbone", options={"pretrained": str(tmp_path)})
    with pytest.raises(InvalidRecipe, match=r"safetensors|no image backbone"):
        build_classifier(config, 3, IMAGE)


def test_an_unknown_backbone_is_a_clear_error() -> None:
    with pytest.raises(InvalidRecipe, match="nonsense"):
        build_classifier(ModelConfig(architecture="auto_backbone", options={"model_type": "nonsense"}), 3, IMAGE)


def test_a_file_that_python_cannot_import_is_no_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain-net.py").write_text('BUILDS = "backbone"\n')
    monkeypatch.setattr(architecture, "MODEL_FOLDER", tmp_path)
    with pytest.raises(InvalidRecipe, match="file of training/models") as failure:
        open_architecture("plain-net", "backbone")
    assert "knows plain-net" not in str(failure.value)
