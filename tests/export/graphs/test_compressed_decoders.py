"""Graphs of decoders that were narrowed or lost rank, beside their networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from export.compress.decoder_units import decoder_groups
from export.compress.low_rank import LowRank
from export.graphs.decoder_graph import decoder_graph
from export.graphs.graph_builder import save_graph
from export.graphs.graph_form import GraphForm
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.task import Array
from training.models import llama, lstm
from training.networks.language_network import LanguageNetwork

VOCABULARY, CONTEXT = 61, 24
TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, 9)


def narrowed(network: LanguageNetwork) -> LanguageNetwork:
    for number, group in enumerate(decoder_groups(network, 2)):
        group.remove(group.smallest(3 + number))
    return network.eval()


def thin_llama() -> LanguageNetwork:
    network = llama.build(llama.Options(width=64, depth=2, heads=4, kv_heads=2), VOCABULARY, CONTEXT)
    assert len(LowRank(multiplications=0.5).factorise(network)) == 8
    return network.eval()


NETWORKS = {
    "thin llama": thin_llama,
    "narrow llama": lambda: narrowed(
        llama.build(llama.Options(width=32, depth=2, heads=2, kv_heads=1), VOCABULARY, CONTEXT)
    ),
    "narrow and thin llama": lambda: narrowed(thin_llama()),
    "narrow lstm": lambda: narrowed(lstm.build(lstm.Options(width=16, hidden=24, depth=2), VOCABULARY, CONTEXT)),
}


@pytest.mark.parametrize("weights", ["whole", "compressible"])
@pytest.mark.parametrize("name", NETWORKS)
def test_logits_of_graph_and_network_agree(name: str, weights: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]()
    save_graph(decoder_graph(network, GraphForm(context=CONTEXT, weights=weights)), tmp_path / "decoder.onnx")  # type: ignore[arg-type]
    runtime = OnnxRuntime(tmp_path / "decoder.onnx")
    inputs: dict[str, Array] = {
        each.name: np.zeros((1, *each.shape[1:]), np.float32)
        for each in runtime.inputs
        if each.name.startswith("past_")
    }
    inputs |= {
        "tokens": TOKENS[None],
        "num_cached": np.zeros(1, np.int32),
        "num_new": np.array([len(TOKENS)], np.int32),
        "wanted": np.array([[0, index] for index in range(len(TOKENS))]),
    }
    with torch.no_grad():
        expected = network(torch.tensor(TOKENS[None]))[0].numpy()
    np.testing.assert_allclose(runtime.run(inputs)["logits"], expected, atol=1e-4)
    runtime.close()
