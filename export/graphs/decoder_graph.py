"""A language network → the graphs of the roles `decoder` and `copy`."""

from __future__ import annotations

from typing import Any

from export.graphs.graph_builder import ELEMENT_TYPES, FloatType, GraphBuilder
from export.graphs.llama_graph import LlamaGraph
from export.graphs.lstm_graph import LstmGraph
from registry.decoder_interface import PAST, SOURCE, TARGET
from tasks.errors import Unsupported
from training.models.llama import Llama
from training.models.lstm import LSTM
from training.networks.language_network import LanguageNetwork


def decoder_graph(
    network: LanguageNetwork, float_type: FloatType = "fp32", *, context: int, after_encoder: bool = False
) -> Any:
    """The role `decoder` as a ModelProto. `context`: positions of a slot; `after_encoder`: with the input `features`.

    Raises Unsupported for a network that nobody has written a graph for."""
    if isinstance(network, Llama):
        return LlamaGraph(network, float_type, context, after_encoder).build()
    if isinstance(network, LSTM) and not after_encoder:
        return LstmGraph(network, float_type).build()
    raise Unsupported(f"no decoder graph is known for {type(network).__name__}: export knows Llama and LSTM")


def copy_graph(decoder: Any) -> Any:
    """The role `copy` for every state of a decoder: the state of one slot over that of another."""
    builder = GraphBuilder()
    for each in decoder.graph.input:
        if not each.name.startswith(PAST):
            continue
        state, kind = each.name.removeprefix(PAST), each.type.tensor_type
        shape = [1, *(size.dim_value for size in kind.shape.dim[1:])]
        dtype = next(name for name, element in ELEMENT_TYPES.items() if element == kind.elem_type)
        source = builder.input(SOURCE + state, dtype, shape)
        builder.add("Identity", source, output=builder.output(TARGET + state, dtype, shape))
    return builder.model("copy")
