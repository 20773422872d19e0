"""A language network → the graphs of the roles `decoder` and `copy`."""

from __future__ import annotations

from typing import Any

from export.graphs.graph_builder import ELEMENT_TYPES, GraphBuilder
from export.graphs.graph_form import GraphForm
from export.graphs.llama_graph import LlamaGraph
from export.graphs.lstm_graph import LstmGraph
from registry.decoder_interface import PAST, SOURCE, TARGET
from tasks.errors import Unsupported
from training.models.llama import Llama
from training.models.lstm import LSTM
from training.networks.language_network import LanguageNetwork


def decoder_graph(network: LanguageNetwork, form: GraphForm) -> Any:
    """The role `decoder` as a ModelProto. Raises Unsupported for a network that nobody has written a graph for."""
    if isinstance(network, Llama):
        return LlamaGraph(network, form).build()
    if isinstance(network, LSTM) and form.prompt == "tokens":
        return LstmGraph(network, form).build()
    after = " after features" if form.prompt == "features" else ""
    raise Unsupported(f"no decoder graph is known for {type(network).__name__}{after}: export knows Llama and LSTM")


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
