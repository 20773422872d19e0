from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from export.captioner_graph import check_encoder, write_encoder
from registry.package import ModelPackage, open_package
from serving.generation.decoder import Step
from serving.generation.graph_decoder import GraphDecoder
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.captioning import Captioning
from tasks.errors import GateFailed
from tasks.generation import Encoded
from tests.captioning_recipes import tiny_recipe
from tests.tiny_captioner import IMAGE, TinyCaptioner, answer, build_captioner_package, build_network, picture
from training.networks.build import build_captioner
from training.networks.config import ModelConfig

NUM_PICTURES, NUM_TOKENS = 12, 20


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return build_captioner_package(tmp_path_factory.mktemp("packages") / "tiny")


@pytest.fixture(scope="module")
def task(package: ModelPackage) -> Captioning:
    opened = package.open_generative_task("fp32")
    assert isinstance(opened, Captioning)
    return opened


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnnxRuntime]:
    """As an export writes it; that of the package is written quickly."""
    path = tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    write_encoder(build_network(TinyCaptioner()), IMAGE, path)
    runtime = OnnxRuntime(path)
    yield runtime
    runtime.close()


def test_captions_of_the_graphs_are_those_of_torch(
    package: ModelPackage, task: Captioning, encoder: OnnxRuntime
) -> None:
    network = build_network(TinyCaptioner())
    runtimes = [OnnxRuntime(package.graph_path("fp32", role)) for role in ("decoder", "copy")]
    decoder = GraphDecoder(*runtimes, 2, task.context)
    said = set()
    for index in range(NUM_PICTURES):
        sample = task.encoder.sample_from_bytes(picture(index))
        tensors = task.encoder.preprocess(sample)
        outputs = {name: array[0] for name, array in encoder.run({"image": tensors["image"][None]}).items()}
        prompt = task.prompt_of(Encoded(sample, tensors, outputs))
        logits = decoder.prefill(1, prompt.tokens, 0, prompt.features)
        assert logits is not None
        tokens: list[int] = []
        while len(tokens) < NUM_TOKENS and (best := int(logits.argmax())) not in task.end_tokens:
            logits = decoder.decode([Step(1, best, prompt.length + len(tokens))], {})[0]
            tokens.append(best)
        assert tuple(tokens) == answer(network, task, picture(index), NUM_TOKENS)[1].tokens
        said.add(tuple(tokens))
    assert len(said) > 2
    decoder.close()


def test_an_encoder_of_other_weights_is_found_out(package: ModelPackage) -> None:
    other = build_network(TinyCaptioner(seed=1))
    with pytest.raises(GateFailed, match="batch size 1 in output 'features'"):
        check_encoder(other, IMAGE, package.graph_path("fp32", "encoder"), (1, 3))


@pytest.mark.parametrize(
    ("options", "strides"),
    [
        ({"model_type": "resnet", "config": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}}, [4, 8]),
        (
            {
                "model_type": "dinov2",
                "config": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8},
            },
            [8],
        ),
    ],
    ids=["convolutions", "attention"],
)
def test_a_backbone_of_transformers_becomes_an_encoder(
    options: dict[str, Any], strides: list[int], tmp_path: Path
) -> None:
    config = msgspec.structs.replace(
        tiny_recipe().model, backbone=ModelConfig(architecture="auto_backbone", options=options)
    )
    config.options["strides"] = strides
    network = build_captioner(config, 300, 64, IMAGE).eval()
    write_encoder(network, IMAGE, tmp_path / "encoder.onnx")  # which holds its answers to those of the network
    runtime = OnnxRuntime(tmp_path / "encoder.onnx")
    assert {spec.name: spec.shape for spec in runtime.outputs} == {"features": (-1, 16, 32), "embedding": (-1, 16)}
    runtime.close()


def test_pictures_of_a_batch_do_not_mix(encoder: OnnxRuntime) -> None:
    images = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8).numpy()
    together = encoder.run({"image": images})["features"]
    alone = np.concatenate([encoder.run({"image": image[None]})["features"] for image in images])
    assert np.abs(together - alone).max() < 1e-4


def test_the_package_opens_again_whole(package: ModelPackage, tmp_path: Path) -> None:
    assert open_package(package.folder).digest == package.digest
    assert set(package.variant("fp32").graphs) == {"encoder", "decoder", "copy"}
