"""Where a session of ONNX Runtime has its graph from: a file, or what a coded graph decodes to, without any file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from registry.coded_graph import WEIGHTS_FILE, DecodedGraph


def open_source(graph: Path | DecodedGraph, options: Any) -> str | bytes:
    """What a session is opened from; `options` are told of weights that are in memory. A session copies these while it
    is built and needs them no more afterwards."""
    if isinstance(graph, Path):
        return str(graph)
    options.add_external_initializers_from_files_in_memory([WEIGHTS_FILE], [graph.weights], [graph.weights.size])
    return graph.graph
