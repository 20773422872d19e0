"""Training that knows of bytes: it keeps networks of every kind what they are, and wins back what bytes alone lose."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from export.compress.fake_quantization import RoundedInput, RoundedWeight, fake_quantized
from export.compress.fold_normalisation import fold_normalisation
from export.compress.int8_static import Int8Static, quantize_int8
from export.compress.learning import FineTuning, Learning
from export.compress.quantization_aware import QuantizationAware
from export.compress.steps import check_sense
from export.to_onnx import quiet
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.errors import InvalidRecipe
from tasks.task import open_task
from training.kind import open_kind
from training.models.resnet import BasicBlock
from training.networks.network import Trainable
from training.recipe import TaskName

Learnings = Callable[[TaskName], Learning]


def noise(learning: Learning, count: int = 4) -> torch.Tensor:
    image = open_task(learning.spec).image_spec
    return torch.randint(256, (count, image.height, image.width, 3), dtype=torch.uint8)


def shaken(network: Trainable) -> Trainable:
    """A copy whose batch normalisation does something, as that of a trained network."""
    changed = copy.deepcopy(network)
    torch.manual_seed(1)
    for layer in changed.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
                assert values is not None
                nn.init.uniform_(values, 0.5, 1.5)
    return changed.eval()


@pytest.mark.parametrize("task", ["classification", "detection", "segmentation"])
def test_folding_changes_no_answer(learnings: Learnings, task: TaskName) -> None:
    learning = learnings(task)
    network, pictures = shaken(learning.trained), noise(learnings(task))
    with torch.inference_mode():
        expected = network(pictures)
    fold_normalisation(network, pictures)
    assert not [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    with torch.inference_mode():
        for found, wanted in zip(network(pictures), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


class TwoReaders(Trainable):
    """Two things read what its convolution gives: it can not be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first, self.second = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        result = self.conv(image.permute(0, 3, 1, 2).float())
        return (self.first(result) + self.second(result),)


def test_normalisation_of_a_result_that_others_read_stays() -> None:
    network = TwoReaders().eval()
    fold_normalisation(network, torch.zeros(1, 4, 4, 3, dtype=torch.uint8))
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()) == 2


def test_weights_are_rounded_per_channel_and_gradients_pass() -> None:
    weight = torch.tensor([[1.0, 0.3, 0.004], [100.0, 30.0, 0.4]], requires_grad=True)
    rounded = RoundedWeight(7)(weight)
    torch.testing.assert_close(rounded, torch.tensor([[1.0, 19 / 64, 0.0], [100.0, 1900 / 64, 0.0]]))
    rounded.sum().backward()
    assert weight.grad is not None
    assert bool((weight.grad == 1).all())
    torch.testing.assert_close(RoundedWeight(7)(rounded), rounded)


def test_inputs_are_rounded_within_the_range_of_the_batches() -> None:
    layer = RoundedInput().train()
    x = torch.tensor([0.0, 0.001, 1.0, 2.55])
    torch.testing.assert_close(layer(x), torch.tensor([0.0, 0.0, 1.0, 2.55]))
    layer.eval()
    torch.testing.assert_close(layer(torch.tensor([-1.0, 5.0])), torch.tensor([0.0, 2.55]))
    negative = RoundedInput().train()(torch.tensor([-1.0, 0.0, 1.0]))
    assert negative[1] == 0


@pytest.mark.parametrize("task", ["classification", "detection", "segmentation"])
def test_network_keeps_its_form_and_has_weights_that_bytes_can_hold(learnings: Learnings, task: TaskName) -> None:
    learning = learnings(task)
    tuning = FineTuning(batches_per_epoch=2)
    network = QuantizationAware(fine_tuning=tuning).compress(copy.deepcopy(learning.trained), learning)
    assert not network.training
    assert not [layer for layer in network.modules() if isinstance(layer, (RoundedInput, RoundedWeight))]
    layers = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    for layer in layers:
        assert not layer._forward_pre_hooks
        torch.testing.assert_close(RoundedWeight(7)(layer.weight), layer.weight)
    with torch.inference_mode():
        answers = zip(network(noise(learning)), learning.trained(noise(learning)), strict=True)
    assert all(found.shape == wanted.shape for found, wanted in answers)


def test_layers_are_left_as_they_were_when_training_fails() -> None:
    layer = nn.Linear(3, 2)
    with pytest.raises(RuntimeError), fake_quantized([layer], 7):
        raise RuntimeError
    assert not layer._forward_pre_hooks
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight"]


@pytest.mark.parametrize("task", ["captioning", "text_generation"])
def test_decoders_are_refused(task: TaskName) -> None:
    with pytest.raises(InvalidRecipe, match=f"quantization_aware is not for {task}.*token by token"):
        check_sense([QuantizationAware()], task, "recipe")


def test_wins_back_most_of_what_bytes_lose(learnings: Learnings, tmp_path: Path) -> None:
    """In each block three channels of eight are 128 times as large as the others: what a range holds of those is two
    steps, and the weights that bring the large ones back are lost in their scale. The float network does not mind."""
    learning = learnings("classification")
    schedule = msgspec.structs.replace(learning.recipe.schedule, batch_size=24)
    recipe = msgspec.structs.replace(learning.recipe, schedule=schedule)
    torch.manual_seed(0)
    network = open_kind("classification").network(recipe.model, learning.spec).eval()
    learning = replace(learning, recipe=recipe)
    learning.fine_tune(network, FineTuning(epochs=6, learning_rate_factor=4))
    fold_normalisation(network, noise(learning))
    with torch.no_grad():
        for block in network.modules():
            if isinstance(block, BasicBlock):
                first, second = (layer for layer in block.body if isinstance(layer, nn.Conv2d))
                assert first.bias is not None
                first.weight[:3] *= 128
                first.bias[:3] *= 128
                second.weight[:, :3] /= 128
    trained = copy.deepcopy(network)
    step = QuantizationAware(fine_tuning=FineTuning(epochs=3, learning_rate_factor=0.2))
    aware = step.compress(network, replace(learning, trained=trained))
    in_float, in_bytes, won_back = (
        accuracy(learning, tmp_path, trained, None),
        accuracy(learning, tmp_path, trained, Int8Static()),
        accuracy(learning, tmp_path, aware, Int8Static()),
    )
    assert in_float > 0.85
    assert in_bytes < in_float - 0.1
    assert won_back > in_bytes + 0.5 * (in_float - in_bytes)


def accuracy(learning: Learning, folder: Path, network: Trainable, technique: Int8Static | None) -> float:
    """Of the network's graph, in bytes or in float, on the test split."""
    task, test, train = open_task(learning.spec), learning.source.split("test"), learning.source.split("train")
    tested, calibration = (
        np.stack([task.preprocess(task.sample_from_bytes(split[i].payload))["image"] for i in range(count)])
        for split, count in ((test, 400), (train, 128))
    )
    path, names, free = folder / "graph.onnx", [*network.output_names], {0: "batch"}
    with quiet(), torch.inference_mode():
        # The exporter of before: it takes a tenth of the time.
        torch.onnx.export(
            network,
            (torch.from_numpy(tested[:2]),),
            path,
            input_names=["image"],
            output_names=names,
            dynamic_axes=dict.fromkeys(["image", *names], free),
            opset_version=18,
            dynamo=False,
        )
    if technique is not None:
        quantize_int8(path, path, [{"image": calibration}], technique)
    logits = OnnxRuntime(path).run({"image": tested})["logits"]
    return float((logits.argmax(1) == [test[i].target for i in range(400)]).mean())
