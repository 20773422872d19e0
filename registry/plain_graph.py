"""A graph of a package as plain ONNX: for engines and tools that read files, however the package stores it."""

from __future__ import annotations

import shutil
from pathlib import Path

from registry.coded_graph import WEIGHTS_FILE, read_coded_graph
from registry.package import ModelPackage
from tasks.errors import Conflict


def write_plain_graph(package: ModelPackage, variant: str, role: str, folder: Path) -> Path:
    """The path of an ONNX file in `folder`, with all weights in it or in files beside it, which keep their names.

    What is decoded is what was sealed, by its hash. Raises InvalidPackage for a graph that the package does not have or
    that does not decode to what its manifest says, and Conflict where another graph's weights are in the folder."""
    graph, stored = package.graph(variant, role), package.graph_path(variant, role)
    if graph.decodes_to is not None and (folder / WEIGHTS_FILE).exists():
        raise Conflict(f"{folder} has the weights of another graph: write every coded graph into a folder of its own")
    target = folder / f"{stored.stem}.onnx"
    if graph.decodes_to is None:
        shutil.copyfile(stored, target)
        for file in graph.data_files:
            shutil.copyfile(package.folder / file, folder / Path(file).name)
        return target
    decoded = read_coded_graph(stored, graph.decodes_to)
    target.write_bytes(decoded.graph)
    decoded.weights.tofile(folder / WEIGHTS_FILE)
    return target
