"""Clustering: few values in every layer, learnt, of networks of every kind, and no others in the exported graph."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from export.compress.clustering import CONVOLUTIONS, Clustering, share_values
from export.compress.learning import FineTuning, Learning
from export.compress.magnitude_pruning import MagnitudePruning
from export.graphs.decoder_graph import decoder_graph
from export.graphs.graph_form import GraphForm
from export.to_onnx import write_onnx
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.errors import InvalidRecipe
from training.networks.language_network import LanguageNetwork
from training.recipe import TaskName

TASKS: tuple[TaskName, ...] = ("classification", "detection", "segmentation", "captioning", "text_generation")
SHORT = FineTuning(batches_per_epoch=2)


def num_values(weight: Any) -> int:
    """Different numbers, zero aside."""
    numbers = np.asarray(weight)
    return len(np.unique(numbers[numbers != 0]))


def weights_of(network: nn.Module) -> Mapping[str, np.ndarray]:
    """Of convolutions, linear layers and tables."""
    kinds = (*CONVOLUTIONS, nn.Linear, nn.Embedding, nn.LSTM)
    return {
        f"{prefix}.{name}": weight.detach().numpy()
        for prefix, layer in network.named_modules()
        if isinstance(layer, kinds)
        for name, weight in layer.named_parameters(recurse=False)
        if weight.ndim > 1
    }


@pytest.mark.parametrize("task", TASKS)
def test_layers_of_every_kind_of_network_share_a_few_values(
    task: TaskName, learnings: Callable[[TaskName], Learning]
) -> None:
    learning, technique = learnings(task), Clustering(bits=3, dense_bits=2, fine_tuning=SHORT)
    assert technique.find_obstacle(task) == ""
    network = technique.compress(copy.deepcopy(learning.trained), learning)
    before = weights_of(learning.trained)
    for name, weight in weights_of(network).items():
        limit = 8 if weight.ndim > 2 else 4
        assert num_values(weight) <= limit or weight.size < 2 * limit, name
        assert not np.array_equal(weight, before[name]), name


def test_zeros_stay_beside_the_shared_values(learnings: Callable[[TaskName], Learning]) -> None:
    learning = learnings("segmentation")
    pruned = MagnitudePruning(sparsity=0.8, fine_tuning=SHORT).compress(copy.deepcopy(learning.trained), learning)
    zeros = {name: weight == 0 for name, weight in weights_of(pruned).items()}
    network = Clustering(bits=2, fine_tuning=SHORT).compress(copy.deepcopy(pruned), learning)
    for name, weight in weights_of(network).items():
        assert np.array_equal(weight == 0, zeros[name]), name
        assert num_values(weight) <= 4 or (weight != 0).sum() < 8, name


def test_the_values_learn(learnings: Callable[[TaskName], Learning]) -> None:
    learning = learnings("text_generation")
    losses = []
    for batches in (1, 40):
        technique = Clustering(
            bits=4, fine_tuning=FineTuning(epochs=1, batches_per_epoch=batches, learning_rate_factor=1.0)
        )
        network = technique.compress(copy.deepcopy(learning.trained), learning)
        assert all(num_values(weight) <= 16 for weight in weights_of(network).values())
        tokens = torch.randint(0, 200, (4, 20), generator=torch.Generator().manual_seed(0))
        losses.append(float(network(tokens).detach().std()))
    assert losses[1] > 2 * losses[0], "a random network answers everything alike, and learns to tell tokens apart"


def test_weights_of_two_layers_in_one_are_shared_once(learnings: Callable[[TaskName], Learning]) -> None:
    network = copy.deepcopy(learnings("text_generation").trained)
    weights = [weight for weight, _ in Clustering()._weights(network)]
    assert len({id(weight) for weight in weights}) == len(weights)
    assert any(weight is network.get_parameter("embedding.weight") for weight in weights)
    assert all(weight.ndim > 1 for weight in weights), "biases and normalisation keep their own values"


def test_layers_without_enough_weights_are_left_alone() -> None:
    few = nn.Parameter(torch.tensor([[1.0, 2.0, 0.0], [3.0, 4.0, 0.0]]))
    assert not share_values(few, 3)
    assert torch.equal(few, torch.tensor([[1.0, 2.0, 0.0], [3.0, 4.0, 0.0]]))
    assert share_values(few, 2)
    assert num_values(few.detach()) == 2


def test_a_network_without_room_is_refused(learnings: Callable[[TaskName], Learning]) -> None:
    learning = learnings("classification")
    network = copy.deepcopy(learning.trained)
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(0)
    with pytest.raises(InvalidRecipe, match="fewer bits"):
        Clustering(fine_tuning=SHORT).compress(network, learning)


def test_the_exported_graph_holds_no_other_values(learnings: Callable[[TaskName], Learning], tmp_path: Path) -> None:
    """The exporter multiplies normalisation into convolutions, which would make new values for each channel."""
    learning = learnings("classification")
    network = Clustering(bits=4, fine_tuning=SHORT).compress(copy.deepcopy(learning.trained), learning)
    path, image = tmp_path / "model.onnx", learning.recipe.image_spec
    write_onnx(network, image, network.output_names, path)
    graph = onnx.load(path).graph
    weighted = {node.input[1] for node in graph.node if node.op_type in ("Conv", "Gemm")}
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    assert len(weighted) >= len(weights_of(network)) - 1
    assert all(num_values(constants[name]) <= 16 or constants[name].size < 32 for name in weighted)
    pictures = np.random.default_rng(0).integers(0, 256, (3, image.height, image.width, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = network(torch.from_numpy(pictures))
    runtime = OnnxRuntime(path)
    outputs = runtime.run({"image": pictures})
    runtime.close()
    for name, wanted in zip(network.output_names, expected, strict=True):
        np.testing.assert_allclose(outputs[name], wanted.numpy(), atol=1e-3)


def test_decoder_graphs_hold_no_other_values(learnings: Callable[[TaskName], Learning]) -> None:
    learning = learnings("text_generation")
    network = Clustering(bits=3, fine_tuning=SHORT).compress(copy.deepcopy(learning.trained), learning)
    assert isinstance(network, LanguageNetwork)
    graph = decoder_graph(network, GraphForm(context=24)).graph
    tables = {each.name: numpy_helper.to_array(each) for each in graph.initializer if len(each.dims) == 2}
    matrices = {name: table for name, table in tables.items() if name not in ("cosine", "sine")}
    assert len(matrices) >= 5
    assert {num_values(table) for name, table in matrices.items() if table.dtype == np.float32} == {8}
