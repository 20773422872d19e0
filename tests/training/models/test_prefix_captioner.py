from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import save_file

from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from tests.captioning_recipes import tiny_recipe
from training.captioning.attention import attention_maps
from training.captioning.greedy import caption_greedily
from training.captioning.learner import judge_tokens, token_loss
from training.captioning.targets import shift_right
from training.networks.build import build_captioner, build_head, caption_grid
from training.networks.captioner import Captioner
from training.networks.config import ModelConfig
from training.warm_start import fits_wholly, read_weights, replace_trunk

IMAGE = ImageSpec(height=32, width=48)
VOCABULARY, CONTEXT, BEGIN = 20, 48, 0


def build(seed: int = 0, kv_heads: int = 1) -> Captioner:
    torch.manual_seed(seed)
    config = tiny_recipe().model
    config.options["decoder"] |= {"kv_heads": kv_heads, "tie_embeddings": False}
    return build_captioner(config, VOCABULARY, CONTEXT, IMAGE).eval()


BACKBONES: dict[str, tuple[ModelConfig, tuple[int, ...]]] = {
    "mobilenet": (
        ModelConfig(architecture="mobilenet", options={"depths": [1, 1, 1], "widths": [8, 16, 16]}),
        (4, 8),
    ),
    "backbone of convolutions": (
        ModelConfig(
            architecture="auto_backbone",
            options={
                "model_type": "resnet",
                "config": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
            },
        ),
        (4, 8),
    ),
    "backbone of attention": (
        ModelConfig(
            architecture="auto_backbone",
            options={
                "model_type": "dinov2",
                "config": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8},
            },
        ),
        (8,),
    ),
}
"""Others than the one of all other tests, each with the strides of its maps."""


@pytest.mark.parametrize("case", BACKBONES)
def test_any_backbone_may_be_its_eyes_and_learns_with_it(case: str) -> None:
    backbone, strides = BACKBONES[case]
    image = ImageSpec(height=32, width=32)
    config = msgspec.structs.replace(tiny_recipe().model, backbone=backbone)
    config.options["strides"] = list(strides)
    network = build_captioner(config, VOCABULARY, CONTEXT, image)
    captions = torch.randint(1, VOCABULARY, (2, 5))
    logits = network.next_logits(network.see(pictures(2)[:, :, :32]), shift_right(captions, BEGIN))
    token_loss(logits, captions).backward()
    assert logits.shape == (2, 5, VOCABULARY)
    assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in network.backbone.parameters())


def make_talkative(network: Captioner) -> Captioner:
    """As its weights are drawn, a decoder says one word for ever: what it attends to hardly counts yet, and pictures
    hardly count in that."""
    weights = dict(network.named_parameters())
    with torch.no_grad():
        weights["project.weight"].mul_(20)
        for name, weight in weights.items():
            if name.startswith(("decoder.blocks.", "decoder.head.")) and weight.ndim == 2:
                weight.mul_(5)
    return network


def pictures(count: int, seed: int = 1) -> torch.Tensor:
    """Patchworks of 8 × 8 pixels in random colours."""
    generator = torch.Generator().manual_seed(seed)
    patches = torch.randint(0, 256, (count, 4, 6, 3), dtype=torch.uint8, generator=generator)
    return patches.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)


def test_features_are_the_cells_of_the_coarsest_map() -> None:
    network = build()
    features, embedding = network(pictures(3))
    assert network.grid == caption_grid(tiny_recipe().model, IMAGE) == (4, 6)
    assert features.shape == (3, 24, 32)
    assert embedding.shape == (3, 16)


def test_cells_of_a_picture_are_told_apart_even_where_they_show_the_same() -> None:
    features, _ = build()(torch.full((1, 32, 48, 3), 90, dtype=torch.uint8))
    inner = features[0].view(4, 6, -1)[1:3, 1:5].flatten(0, 1)
    assert torch.pdist(inner).min() > 0.1


def test_pictures_of_any_kind_and_batch_get_the_same_features() -> None:
    network, images = build(), pictures(3)
    together = network(images)[0]
    assert torch.allclose(together, network(images.float())[0])
    assert torch.allclose(together[1], network(images[1:2])[0][0], atol=1e-5)


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_greedy_captions_with_a_cache_are_those_of_the_whole_network(kv_heads: int) -> None:
    network, images = make_talkative(build(kv_heads=kv_heads)), pictures(8)
    captions = caption_greedily(network, images, BEGIN, (), max_tokens=15)
    assert len({tuple(caption) for caption in captions}) > 1
    for image, caption in zip(images, captions, strict=True):
        said: list[int] = []
        while len(said) < 15:
            view = network.see(image.unsqueeze(0))
            best = int(network.next_logits(view, torch.tensor([[BEGIN, *said]]))[0, -1].argmax())
            said.append(best)
        assert caption == said


def test_attention_is_that_of_the_network_and_shares_of_one() -> None:
    network, image = make_talkative(build()), pictures(1)[0]
    maps = attention_maps(network, image, [4, 5, 6], BEGIN)
    assert maps.shape == (3, 4, 6)
    assert (maps >= 0).all()
    assert (maps.sum(dim=(1, 2)) < 1).all()
    # What is said later changes nothing about where was looked before.
    assert torch.allclose(maps[:2], attention_maps(network, image, [4, 5], BEGIN), atol=1e-6)


def test_it_learns_which_side_of_a_picture_is_bright() -> None:
    images = torch.zeros(8, 32, 48, 3, dtype=torch.uint8)
    images[:4, :, :20], images[4:, :, 28:] = 255, 255
    captions = torch.tensor([[[7, 8, 2]]] * 4 + [[[7, 9, 2]]] * 4)
    network = build().train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(80):
        logits = network.next_logits(network.see(images), shift_right(captions[:, 0], BEGIN))
        optimiser.zero_grad()
        token_loss(logits, captions[:, 0]).backward()
        optimiser.step()
    judged = judge_tokens(network.eval(), images, captions, BEGIN)
    assert judged.num_right == judged.num_tokens == 24
    assert caption_greedily(network, images[3:5], BEGIN, {2}, 5) == [[7, 8], [7, 9]]


def test_strides_that_do_not_fit_are_refused() -> None:
    config = tiny_recipe().model
    with pytest.raises(InvalidRecipe, match="must divide"):
        caption_grid(config, ImageSpec(height=36, width=48))
    config.options["strides"] = [8, 64]
    with pytest.raises(InvalidRecipe, match="no map of stride 64"):
        build_captioner(config, VOCABULARY, CONTEXT, ImageSpec(height=64, width=64))


def take_over(captioner: Captioner, detector: Path) -> None:
    weights = read_weights(detector)
    assert not fits_wholly(captioner, weights)
    assert replace_trunk(captioner, weights) == ""


def test_a_detector_of_the_same_shape_lends_it_all_but_its_last_layers(tmp_path: Path) -> None:
    torch.manual_seed(5)
    config = tiny_recipe().model
    options = {name: config.options[name] for name in ("strides", "channels", "depth")}
    detector = build_head(msgspec.structs.replace(config, architecture="fcos", options=options), "detector", 3, IMAGE)
    save_file(detector.state_dict(), tmp_path / "model.safetensors")
    network = build()
    before = network.state_dict()["project.weight"].clone()
    take_over(network, tmp_path)
    own, lent = network.state_dict(), detector.state_dict()
    shared = [name for name in own if name.startswith(("normalise.", "backbone.", "head."))]
    assert any("class_tower" in name for name in shared)
    assert all(torch.equal(own[name], lent[name]) for name in shared)
    assert torch.equal(own["project.weight"], before)


def test_a_detector_of_another_width_lends_its_backbone_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    config = tiny_recipe().model
    options = {"strides": [4, 8], "channels": 16, "depth": 1}
    detector = build_head(msgspec.structs.replace(config, architecture="fcos", options=options), "detector", 3, IMAGE)
    save_file(detector.state_dict(), tmp_path / "model.safetensors")
    network = build()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items() if name.startswith("head.")}
    take_over(network, tmp_path)
    after = network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert torch.equal(after["backbone.stem.0.weight"], detector.state_dict()["backbone.stem.0.weight"])
