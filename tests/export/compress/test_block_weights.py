"""Weights in blocks: smaller, close, and the same for a row whatever else is in the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest
import torch

from export.compress.block_weights import Int4Weights, Int8Dynamic, quantize_blocks
from export.graphs.decoder_graph import decoder_graph
from export.graphs.graph_builder import save_graph
from export.graphs.graph_form import GraphForm
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.task import Array
from training.models import llama, lstm
from training.networks.language_network import LanguageNetwork

VOCABULARY, CONTEXT = 96, 32
CONFIGS = {8: Int8Dynamic(), 4: Int4Weights()}
TOKENS = [int(token) for token in np.random.default_rng(0).integers(0, VOCABULARY, 12)]


@pytest.fixture(params=["llama", "lstm"])
def network(request: pytest.FixtureRequest) -> LanguageNetwork:
    torch.manual_seed(0)
    built: LanguageNetwork
    if request.param == "llama":
        built = llama.build(llama.Options(width=64, depth=2, heads=4, kv_heads=2), VOCABULARY, CONTEXT)
    else:
        built = lstm.build(lstm.Options(width=64, hidden=96, depth=2), VOCABULARY, CONTEXT)
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    return built.eval()


def logits_of(path: Path, rows: list[list[int]]) -> Array:
    """FP32 [rows, vocabulary] after equally long prompts."""
    runtime = OnnxRuntime(path)
    length = len(rows[0])
    inputs: dict[str, Array] = {
        "tokens": np.array(rows, np.int64),
        "num_cached": np.zeros(len(rows), np.int32),
        "num_new": np.full(len(rows), length, np.int32),
        "wanted": np.array([(row, length - 1) for row in range(len(rows))], np.int64),
    }
    for spec in runtime.inputs:
        if spec.name.startswith("past_"):
            inputs[spec.name] = np.zeros((len(rows), *spec.shape[1:]), np.float32)
    return runtime.run(inputs, ["logits"])["logits"]


@pytest.mark.parametrize(("bits", "closeness"), [(8, 0.05), (4, 0.6)])
def test_graph_is_small_and_close(
    network: LanguageNetwork, tmp_path: Path, bits: Literal[4, 8], closeness: float
) -> None:
    save_graph(decoder_graph(network, GraphForm(context=CONTEXT)), tmp_path / "plain.onnx")
    compressible = decoder_graph(network, GraphForm(context=CONTEXT, weights="compressible"))
    save_graph(quantize_blocks(compressible, CONFIGS[bits]), tmp_path / "small.onnx")
    expected, found = (logits_of(tmp_path / name, [TOKENS]) for name in ("plain.onnx", "small.onnx"))
    assert 0 < np.abs(found - expected).mean() < closeness * expected.std()
    assert (tmp_path / "small.onnx").stat().st_size < 0.5 * (tmp_path / "plain.onnx").stat().st_size


def test_no_layer_is_left_in_float(network: LanguageNetwork) -> None:
    """Not even the embeddings, which these networks tie to their heads."""
    compressible = decoder_graph(network, GraphForm(context=CONTEXT, weights="compressible"))
    model = quantize_blocks(compressible, Int8Dynamic())
    floats = onnx.TensorProto.FLOAT
    large = [each.name for each in model.graph.initializer if each.data_type == floats and len(each.dims) > 1]
    assert {name for name in large if "scale" not in name} <= {"cosine", "sine"}


def test_embeddings_of_their_own_stay_in_float(tmp_path: Path) -> None:
    options = llama.Options(width=64, depth=1, heads=4, kv_heads=4, tie_embeddings=False)
    network = llama.build(options, VOCABULARY, CONTEXT).eval()
    compressible = decoder_graph(network, GraphForm(context=CONTEXT, weights="compressible"))
    model = quantize_blocks(compressible, Int4Weights())
    assert "embedding" in {each.name for each in model.graph.initializer}
    save_graph(model, tmp_path / "small.onnx")
    assert logits_of(tmp_path / "small.onnx", [TOKENS]).shape == (1, VOCABULARY)


@pytest.mark.parametrize("bits", [4, 8])
def test_row_says_the_same_whatever_else_is_in_the_batch(
    network: LanguageNetwork, tmp_path: Path, bits: Literal[4, 8]
) -> None:
    compressible = decoder_graph(network, GraphForm(context=CONTEXT, weights="compressible"))
    save_graph(quantize_blocks(compressible, CONFIGS[bits]), tmp_path / "small.onnx")
    alone = logits_of(tmp_path / "small.onnx", [TOKENS])[0]
    others = np.random.default_rng(1).integers(0, VOCABULARY, (5, len(TOKENS))).tolist()
    together = logits_of(tmp_path / "small.onnx", [*others, TOKENS])[-1]
    np.testing.assert_allclose(together, alone, atol=1e-4 * np.abs(alone).max())
