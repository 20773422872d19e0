"""Decoder graphs beside the networks they were written from, in every way that a generator runs them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import ml_dtypes
import msgspec
import numpy as np
import pytest
import torch
from onnx import TensorProto

from export.compress.float_twin import write_twin
from export.graphs.decoder_graph import copy_graph, decoder_graph
from export.graphs.graph_builder import FloatType, save_graph
from export.graphs.graph_ends import describe_ends
from export.graphs.graph_form import GraphForm
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.runtimes.runtime import DeviceTensor
from tasks.errors import Unsupported
from tasks.task import Array
from training.models import llama, lstm
from training.networks.language_network import LanguageNetwork

VOCABULARY, CONTEXT = 61, 24
NETWORKS = {
    "llama": lambda: llama.build(llama.Options(width=64, depth=3, heads=4, kv_heads=2), VOCABULARY, CONTEXT),
    "untied": lambda: llama.build(
        llama.Options(width=32, depth=1, heads=2, kv_heads=2, tie_embeddings=False), VOCABULARY, CONTEXT
    ),
    "lstm": lambda: lstm.build(lstm.Options(width=16, hidden=24, depth=2), VOCABULARY, CONTEXT),
}
TOKENS = [int(token) for token in np.random.default_rng(0).integers(0, VOCABULARY, 16)]


class Driver:
    """A decoder graph with states for some slots, its logits beside those of the network."""

    def __init__(
        self,
        network: LanguageNetwork,
        folder: Path,
        slots: int,
        float_type: FloatType = "fp32",
        weights: Literal["whole", "compressible"] = "whole",
    ) -> None:
        model = decoder_graph(network, GraphForm(context=CONTEXT, float_type=float_type, weights=weights))
        save_graph(model, folder / "decoder.onnx")
        save_graph(copy_graph(model), folder / "copy.onnx")
        if float_type == "bf16":
            for name in ("decoder.onnx", "copy.onnx"):
                write_twin(folder / name, folder / name)
        self.runtime, self.copier = OnnxRuntime(folder / "decoder.onnx"), OnnxRuntime(folder / "copy.onnx")
        self.states: dict[str, DeviceTensor] = {}
        for spec in self.runtime.inputs:
            if spec.name.startswith("past_"):
                sized = msgspec.structs.replace(spec, shape=(slots, *spec.shape[1:]))
                self.states[spec.name.removeprefix("past_")] = self.runtime.allocate(sized)

    def run(
        self,
        tokens: Sequence[Sequence[int]],
        num_cached: Sequence[int],
        num_new: Sequence[int],
        wanted: Sequence[tuple[int, int]],
    ) -> Array:
        inputs: dict[str, Array | DeviceTensor] = {
            "tokens": np.array(tokens, np.int64),
            "num_cached": np.array(num_cached, np.int32),
            "num_new": np.array(num_new, np.int32),
            "wanted": np.array(wanted, np.int64).reshape(-1, 2),
        }
        states = {f"past_{name}": state for name, state in self.states.items()}
        present = {f"present_{name}": state for name, state in self.states.items()}
        return self.runtime.run(inputs | states, present)["logits"]


@pytest.fixture(params=list(NETWORKS))
def network(request: pytest.FixtureRequest) -> LanguageNetwork:
    torch.manual_seed(0)
    built: LanguageNetwork = NETWORKS[request.param]().eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.mul_(4)  # otherwise the logits hardly depend on what came before
    return built


@pytest.fixture
def expected(network: LanguageNetwork) -> Array:
    """What the network gives after each of TOKENS, FP32 [16, vocabulary]."""
    with torch.inference_mode():
        return network(torch.tensor([TOKENS]))[0].numpy()


@pytest.mark.parametrize("weights", ["whole", "compressible"])
def test_prompt_in_pieces_then_tokens_one_by_one(
    network: LanguageNetwork, expected: Array, tmp_path: Path, weights: Literal["whole", "compressible"]
) -> None:
    driver = Driver(network, tmp_path, slots=1, weights=weights)
    found = driver.run([TOKENS[:5]], [0], [5], [(0, i) for i in range(5)])
    np.testing.assert_allclose(found, expected[:5], atol=5e-5)
    assert driver.run([TOKENS[5:9]], [5], [4], []).shape == (0, VOCABULARY)
    for position in range(9, 16):
        found = driver.run([TOKENS[position : position + 1]], [position], [1], [(0, 0)])
        np.testing.assert_allclose(found[0], expected[position], atol=5e-5)


@pytest.mark.parametrize("weights", ["whole", "compressible"])
def test_rows_of_all_lengths_together(
    network: LanguageNetwork, expected: Array, tmp_path: Path, weights: Literal["whole", "compressible"]
) -> None:
    """Padded prompts, then a step in which one row goes on, one starts anew and one is idle: it loses nothing."""
    driver = Driver(network, tmp_path, slots=3, weights=weights)
    padded = [TOKENS[:7], TOKENS[:4] + [0] * 3, [0] * 7]
    found = driver.run(padded, [0, 0, 0], [7, 4, 0], [(1, 3), (0, 6)])
    np.testing.assert_allclose(found, expected[[3, 6]], atol=5e-5)
    found = driver.run([[TOKENS[7]], [0], [TOKENS[0]]], [7, 4, 0], [1, 0, 1], [(2, 0), (0, 0)])
    np.testing.assert_allclose(found, expected[[0, 7]], atol=5e-5)
    found = driver.run([[TOKENS[8]], [TOKENS[4]], [TOKENS[1]]], [8, 4, 1], [1, 1, 1], [(0, 0), (1, 0), (2, 0)])
    np.testing.assert_allclose(found, expected[[8, 4, 1]], atol=5e-5)


def test_slot_that_starts_anew_forgets(network: LanguageNetwork, expected: Array, tmp_path: Path) -> None:
    driver = Driver(network, tmp_path, slots=2)
    driver.run([[9, 8, 7], [1, 2, 3]], [0, 0], [3, 3], [])
    found = driver.run([TOKENS[:6], [5] * 6], [0, 0], [6, 6], [(0, 5)])
    np.testing.assert_allclose(found[0], expected[5], atol=5e-5)


def test_half_precision_stays_close(network: LanguageNetwork, expected: Array, tmp_path: Path) -> None:
    driver = Driver(network, tmp_path, slots=1, float_type="fp16")
    found = driver.run([TOKENS], [0], [16], [(0, i) for i in range(16)])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())
    assert all(state.spec.dtype == "FP16" for state in driver.states.values())


def test_bfloat16_stays_close_and_goes_on_from_its_rounded_state(
    network: LanguageNetwork, expected: Array, tmp_path: Path
) -> None:
    driver = Driver(network, tmp_path, slots=2, float_type="bf16")
    found = [driver.run([TOKENS[:9], [0] * 9], [0, 0], [9, 0], [(0, 8)])[0]]
    found += [driver.run([[TOKENS[i]], [0]], [i, 0], [1, 0], [(0, 0)])[0] for i in range(9, 12)]
    assert 0 < np.abs(np.array(found) - expected[8:12]).max() < 0.05 * np.abs(expected).max()
    for state in driver.states.values():
        held = state.to_numpy()
        np.testing.assert_array_equal(held, held.astype(ml_dtypes.bfloat16).astype(np.float32))


def test_bfloat16_graph_has_no_other_floats(network: LanguageNetwork) -> None:
    model = decoder_graph(network, GraphForm(context=CONTEXT, float_type="bf16"))
    kinds = {each.data_type for each in model.graph.initializer}
    states = [each for each in (*model.graph.input, *model.graph.output) if each.name.startswith(("past_", "present_"))]
    assert TensorProto.BFLOAT16 in kinds
    assert TensorProto.FLOAT not in kinds
    assert {each.type.tensor_type.elem_type for each in states} == {TensorProto.BFLOAT16}


def test_copied_state_goes_on_as_the_other(network: LanguageNetwork, expected: Array, tmp_path: Path) -> None:
    driver = Driver(network, tmp_path, slots=1)
    driver.run([TOKENS[:9]], [0], [9], [])
    first = {f"source_{name}": state for name, state in driver.states.items()}
    copies = {name: driver.runtime.allocate(state.spec) for name, state in driver.states.items()}
    driver.copier.run(first, {f"target_{name}": copy for name, copy in copies.items()})
    driver.run([[1, 2, 3]], [0], [3], [])
    driver.states = copies
    np.testing.assert_allclose(driver.run([TOKENS[9:10]], [9], [1], [(0, 0)])[0], expected[9], atol=5e-5)


def test_features_stand_for_tokens(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = NETWORKS["llama"]().eval()
    features = torch.randn(1, 3, 64)
    with torch.inference_mode():
        expected = network(torch.tensor([TOKENS[:4]]), features)[0].numpy()
    save_graph(decoder_graph(network, GraphForm(context=CONTEXT, prompt="features")), tmp_path / "decoder.onnx")
    runtime = OnnxRuntime(tmp_path / "decoder.onnx")
    padded = np.zeros((1, 7, 64), np.float32)
    padded[:, :3] = features.numpy()
    inputs = {
        "tokens": np.array([[-1] * 3 + TOKENS[:4]], np.int64),
        "features": padded,
        "num_cached": np.zeros(1, np.int32),
        "num_new": np.full(1, 7, np.int32),
        "wanted": np.array([(0, 3 + i) for i in range(4)], np.int64),
    }
    states = {
        spec.name: np.zeros((1, *spec.shape[1:]), np.float32)
        for spec in runtime.inputs
        if spec.name.startswith("past_")
    }
    np.testing.assert_allclose(runtime.run(inputs | states, ["logits"])["logits"], expected, atol=5e-5)


def test_weights_too_large_for_one_file_lie_beside_it(
    network: LanguageNetwork, expected: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.graphs.graph_builder.MAX_INLINE_BYTES", 1000)
    driver = Driver(network, tmp_path, slots=1)
    assert (tmp_path / "decoder.onnx.weights").stat().st_size > 1000
    np.testing.assert_allclose(driver.run([TOKENS], [0], [16], [(0, 15)])[0], expected[15], atol=5e-5)


def test_ends_are_described_as_the_runtime_sees_them(network: LanguageNetwork, tmp_path: Path) -> None:
    driver = Driver(network, tmp_path, slots=1, float_type="fp16")
    for role, runtime in (("decoder", driver.runtime), ("copy", driver.copier)):
        assert describe_ends(tmp_path / f"{role}.onnx") == (runtime.inputs, runtime.outputs)


def test_unknown_network_is_refused() -> None:
    with pytest.raises(Unsupported, match="Llama and LSTM"):
        decoder_graph(LanguageNetwork(), GraphForm(context=CONTEXT))
