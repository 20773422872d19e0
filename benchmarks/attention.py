"""Two ways to keep a key-value cache in ONNX Runtime, in the decoder of a Llama of 110 million random parameters.

`contrib`: GroupQueryAttention, what export writes. `standard`: TensorScatter and Attention of opset 24. Same weights,
same interface, same rounds: python -m benchmarks.attention
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.machine import describe_machine
from export.graphs.decoder_graph import copy_graph
from export.graphs.decoder_io import ROWS, DecoderInputs, array_of, project
from export.graphs.graph_builder import ELEMENT_TYPES, Size, save_graph
from export.graphs.graph_form import GraphForm
from export.graphs.llama_graph import LlamaGraph
from export.held_out import num_cores
from export.latency import time_in_turn
from export.table import format_table
from registry.decoder_interface import PAST, PRESENT
from serving.generation.decoder import Step
from serving.generation.graph_decoder import GraphDecoder
from serving.runtimes.compute_threads import ComputeThreads
from serving.runtimes.onnx_runtime import OnnxRuntime
from training.models.llama import Block, Llama, Options

OPSET, IR_VERSION = 24, 12
VOCABULARY, CONTEXT = 32_000, 1_024
MODEL = Options(width=768, depth=12, heads=12, kv_heads=12, hidden=2_048, tie_embeddings=False)
BATCHES, POSITIONS = (1, 8), (16, 512, 1_000)
PROMPT = 256


class StandardGraph(LlamaGraph):
    """The same graph with operators of the standard alone where the cache is."""

    def build(self) -> Any:
        model = super().build()
        model.opset_import[0].version, model.ir_version = OPSET, IR_VERSION
        return model

    def _add_positions(self, inputs: DecoderInputs) -> tuple[str, str]:
        """Where each row's new tokens begin INT64 [rows], and the position of each INT64 [rows, length]."""
        builder = self._builder
        begins = builder.add("Cast", inputs.num_cached, to=ELEMENT_TYPES["INT64"])
        shape = builder.add("Shape", inputs.tokens, start=1, end=2)
        length = builder.add("Squeeze", shape, builder.integers([0]))
        steps = builder.add("Range", builder.integers(0), length, builder.integers(1))
        return begins, builder.add("Add", builder.add("Unsqueeze", begins, builder.integers([1])), steps)

    def _attend(self, x: str, level: int, block: Block, positions: tuple[str, str]) -> str:
        builder, attention = self._builder, block.attention
        begins, places = positions
        shape: list[Size] = [ROWS, attention.kv_heads, CONTEXT, attention.head_width]
        sizes = [count * attention.head_width for count in (attention.heads, attention.kv_heads, attention.kv_heads)]
        qkv = project(builder, x, f"qkv_{level}", attention.qkv.weight)
        q, k, v = builder.add_many("Split", qkv, builder.integers(sizes), outputs=["", "", ""], axis=-1)
        tables = [builder.weight(name, array_of(getattr(self._network, name))) for name in ("cosine", "sine")]
        q = builder.add("RotaryEmbedding", q, *tables, places, num_heads=attention.heads)
        k = builder.add("RotaryEmbedding", k, *tables, places, num_heads=attention.kv_heads)
        caches = []
        for name, new in ((f"key_{level}", k), (f"value_{level}", v)):
            past = builder.input(PAST + name, builder.state_dtype, shape)
            present = builder.output(PRESENT + name, builder.state_dtype, shape)
            update = self._by_head(new, attention.kv_heads, attention.head_width)
            caches.append(builder.add("TensorScatter", past, update, begins, output=present, axis=2))
        length = builder.add("Shape", x, start=1, end=2)
        filled = builder.add("Add", begins, length)
        query = self._by_head(q, attention.heads, attention.head_width)
        attended = builder.add("Attention", query, *caches, "", "", "", filled, is_causal=1)
        return builder.add(
            "Reshape", builder.add("Transpose", attended, perm=[0, 2, 1, 3]), builder.integers([0, 0, -1])
        )

    def _by_head(self, x: str, heads: int, width: int) -> str:
        """[rows, length, heads · width] → [rows, heads, length, width]."""
        split = self._builder.add("Reshape", x, self._builder.integers([0, 0, heads, width]))
        return self._builder.add("Transpose", split, perm=[0, 2, 1, 3])


def open_decoders(folder: Path, num_threads: int) -> dict[str, GraphDecoder]:
    """By name, over the same random weights."""
    torch.manual_seed(0)
    network = Llama(MODEL, VOCABULARY, CONTEXT).eval()
    form = GraphForm(context=CONTEXT)
    decoders = {}
    for name, graph in (("contrib", LlamaGraph), ("standard", StandardGraph)):
        model = graph(network, form).build()
        save_graph(model, folder / f"{name}.onnx")
        save_graph(copy_graph(model), folder / "copy.onnx")
        runtimes = [
            OnnxRuntime(folder / f"{part}.onnx", threads=ComputeThreads(num_threads)) for part in (name, "copy")
        ]
        decoders[name] = GraphDecoder(runtimes[0], runtimes[1], max(BATCHES), CONTEXT)
    return decoders


def check_alike(decoders: Mapping[str, GraphDecoder]) -> float:
    """Largest difference of a logit after a prompt in two pieces and a step of two rows."""
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, 24).tolist()
    found = []
    for decoder in decoders.values():
        decoder.prefill(0, tokens[:9], 0, want_logits=False)
        decoder.prefill(0, tokens[9:], 9, want_logits=False)
        decoder.prefill(1, tokens[:5], 0, want_logits=False)
        found.append(decoder.decode([Step(0, 7, 24), Step(1, 8, 5)], {}))
    return float(np.abs(found[0] - found[1]).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="spent on each figure")
    parser.add_argument("--threads", type=int, default=num_cores())
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        decoders = open_decoders(Path(folder), options.threads)
    print(f"{describe_machine()}; {options.threads} threads; logits differ by {check_alike(decoders):.1e}")
    rows = []
    for batch in BATCHES:
        for position in POSITIONS:
            steps = [Step(slot, slot, position) for slot in range(batch)]
            calls = {name: partial(decoder.decode, steps, {}) for name, decoder in decoders.items()}
            timed = time_in_turn(calls, options.seconds)
            rows.append([f"step of {batch}, {position} cached", *(f"{timed[name].median_ms:.1f}" for name in decoders)])
    prompt = np.random.default_rng(0).integers(0, VOCABULARY, PROMPT).tolist()
    prefills = {name: partial(decoder.prefill, 0, prompt, 0) for name, decoder in decoders.items()}
    timed = time_in_turn(prefills, options.seconds)
    rows.append([f"prompt of {PROMPT}", *(f"{timed[name].median_ms:.0f}" for name in decoders)])
    print(format_table(["median ms", *decoders], rows))


if __name__ == "__main__":
    main()
