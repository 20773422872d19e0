"""The decoder graph of a Llama: keys and values in place, by GroupQueryAttention of ONNX Runtime.

That operator reads only the valid part of the cache, turns queries and keys by their positions itself, and lets past
and present be the same memory. The last block works out only the tokens after which logits are wanted.
"""

from __future__ import annotations

from typing import Any

from export.graphs.decoder_io import (
    ROWS,
    DecoderInputs,
    add_inputs,
    add_logits,
    array_of,
    embed,
    embed_with_features,
    project_layer,
)
from export.graphs.graph_builder import CONTRIB, ELEMENT_TYPES, GraphBuilder, Size
from export.graphs.graph_form import GraphForm
from registry.decoder_interface import PAST, PRESENT
from training.models.llama import Block, FeedForward, Llama, RMSNorm


class LlamaGraph:
    """Builds one graph; used once."""

    def __init__(self, network: Llama, form: GraphForm) -> None:
        self._network, self._form = network, form
        self._builder = GraphBuilder(form.float_type)

    def build(self) -> Any:
        builder, network = self._builder, self._network
        inputs = add_inputs(builder)
        lookup = embed_with_features if self._form.prompt == "features" else embed
        residual = lookup(builder, inputs.tokens, network.embedding.weight)
        normalised = ""
        positions = self._add_positions(inputs)
        for level, block in enumerate(network.blocks):
            assert isinstance(block, Block)
            norm = block.attention_norm
            if level == 0:
                normalised = self._normalise(residual, norm)
            attended = self._attend(normalised, level, block, positions)
            if level == len(network.blocks) - 1:
                attended = builder.add("GatherND", attended, inputs.wanted)
                residual = builder.add("GatherND", residual, inputs.wanted)
            joined = project_layer(builder, attended, f"output_{level}", block.attention.output)
            normalised, residual = self._add_and_normalise(joined, residual, block.mlp_norm, f"mlp_{level}")
            added = self._feed_forward(normalised, level, block.mlp)
            following = network.blocks[level + 1].attention_norm if level + 1 < len(network.blocks) else network.norm
            assert isinstance(following, RMSNorm)
            normalised, residual = self._add_and_normalise(added, residual, following, f"following_{level}")
        is_shared = network.head is None and self._form.weights == "whole"
        add_logits(builder, normalised, network.head_weight, "shared" if is_shared else "own")
        return builder.model("decoder")

    def _add_positions(self, inputs: DecoderInputs) -> tuple[str, str]:
        """What GroupQueryAttention wants to know of lengths: for each row, one less than the positions behind it, and
        the most of all rows."""
        builder = self._builder
        # Counted, not asked of Shape: ONNX Runtime would put what follows on the CPU even where the rest runs on a GPU.
        places = builder.add("Cast", builder.add("Equal", inputs.tokens, inputs.tokens), to=ELEMENT_TYPES["INT32"])
        length = builder.add("ReduceSum", places, builder.integers([1]), keepdims=0)
        ends = builder.add("Add", inputs.num_cached, length)
        most = builder.add("ReduceMax", ends, builder.integers([0]), keepdims=1)
        return builder.add("Sub", ends, builder.integers([1], "int32")), most

    def _normalise(self, x: str, norm: RMSNorm) -> str:
        weight = self._builder.weight("norm_first", array_of(norm.weight))
        return self._builder.add("SimplifiedLayerNormalization", x, weight, axis=-1, epsilon=norm.epsilon)

    def _add_and_normalise(self, x: str, residual: str, norm: RMSNorm, name: str) -> tuple[str, str]:
        """→ (normalised sum, sum)."""
        weight = self._builder.weight(f"norm_{name}", array_of(norm.weight))
        # The two outputs in between are of training alone.
        op, outputs = "SkipSimplifiedLayerNormalization", (f"normalised_{name}", "", "", f"sum_{name}")
        self._builder.add_sparse(op, x, residual, weight, outputs=outputs, domain=CONTRIB, epsilon=norm.epsilon)
        return outputs[0], outputs[3]

    def _attend(self, x: str, level: int, block: Block, positions: tuple[str, str]) -> str:
        """x [rows, length, width] → attended [rows, length, heads · head_width]; the cache takes the new tokens in."""
        builder, attention, network = self._builder, block.attention, self._network
        shape: list[Size] = [ROWS, attention.kv_heads, self._form.context, attention.head_width]
        states = [f"key_{level}", f"value_{level}"]
        pasts = [builder.input(PAST + state, builder.state_dtype, shape) for state in states]
        presents = [builder.output(PRESENT + state, builder.state_dtype, shape) for state in states]
        qkv = project_layer(builder, x, f"qkv_{level}", attention.qkv)
        tables = [
            builder.weight(name, array_of(table[: self._form.context]))
            for name, table in (("cosine", network.cosine), ("sine", network.sine))
        ]
        attended, *_ = builder.add_many(
            "GroupQueryAttention",
            *(qkv, "", "", *pasts, *positions, *tables),
            outputs=["", *presents],
            domain=CONTRIB,
            num_heads=attention.heads,
            kv_num_heads=attention.kv_heads,
            do_rotary=1,
        )
        return attended

    def _feed_forward(self, x: str, level: int, mlp: FeedForward) -> str:
        builder = self._builder
        packed = project_layer(builder, x, f"gate_up_{level}", mlp.gate_up)
        gate, up = builder.add_many("Split", packed, outputs=["", ""], axis=-1, num_outputs=2)
        # SiLU: x · sigmoid(1 · x).
        active = builder.add("QuickGelu", gate, domain=CONTRIB, alpha=1.0)
        return project_layer(builder, builder.add("Mul", active, up), f"down_{level}", mlp.down)
