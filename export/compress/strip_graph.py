"""An ONNX graph without what no engine needs: where each node came from in a source file, and sizes that follow."""

from __future__ import annotations

from typing import Any


def strip_graph(model: Any) -> None:
    """Takes documentation, metadata and the shapes of inner tensors out of a model. Names stay."""
    strip_notes(model)
    for function in model.functions:
        del function.value_info[:]
        strip_notes(function)
        strip_nodes(function.node)
    strip_inside(model.graph)


def strip_inside(graph: Any) -> None:
    """A graph and those that its nodes hold (branches, bodies of loops)."""
    del graph.value_info[:]
    del graph.quantization_annotation[:]
    strip_notes(graph)
    for part in (*graph.input, *graph.output, *graph.initializer):
        strip_notes(part)
    strip_nodes(graph.node)


def strip_nodes(nodes: Any) -> None:
    for node in nodes:
        strip_notes(node)
        for attribute in node.attribute:
            attribute.ClearField("doc_string")
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                strip_inside(graph)


def strip_notes(part: Any) -> None:
    part.ClearField("doc_string")
    part.ClearField("metadata_props")
