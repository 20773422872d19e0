"""The trainer's own checkpoints (weights, optimiser, loop, callbacks) as one safetensors file: nothing is pickled.

Tensors become entries of the file; everything around them becomes JSON in its header, with the few types that JSON
lacks spelled out. What cannot be written that way is refused when saving, not discovered when resuming.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import torch
from lightning.pytorch.plugins.io import CheckpointIO
from safetensors import safe_open
from safetensors.torch import save_file

Tree = Any
"""Tensors and plain values nested in dicts, lists and tuples."""

KIND = "__kind__"
HEADER_KEY = "structure"


class SafetensorsCheckpointIO(CheckpointIO):  # type: ignore[misc]
    """Saves and loads what Lightning hands over. Writing is atomic: a kill leaves the previous checkpoint whole."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        tensors: dict[str, torch.Tensor] = {}
        structure = flatten(checkpoint, tensors)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        save_file(tensors, partial, metadata={HEADER_KEY: msgspec.json.encode(structure).decode()})
        os.replace(partial, path)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        with safe_open(path, framework="pt") as stream:
            structure = msgspec.json.decode(stream.metadata()[HEADER_KEY])
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (not a mapping)
        checkpoint: dict[str, Any] = restore(structure, tensors)
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


def flatten(tree: Tree, tensors: dict[str, torch.Tensor]) -> Any:
    """A tree → JSON values that `restore` turns back, moving its tensors into `tensors`. Raises TypeError."""
    if isinstance(tree, torch.Tensor):
        name = f"tensor-{len(tensors)}"
        # A copy of its own: safetensors refuses tensors that share memory.
        tensors[name] = tree.detach().cpu().contiguous().clone()
        return {KIND: "tensor", "name": name}
    if tree is None or isinstance(tree, bool | int | str):
        return tree
    if isinstance(tree, float):
        return {KIND: "float", "hex": tree.hex()}
    if isinstance(tree, dict):
        items = [[flatten(key, tensors), flatten(value, tensors)] for key, value in tree.items()]
        return {KIND: "dict", "items": items}
    if isinstance(tree, list | tuple):
        return {KIND: "list" if isinstance(tree, list) else "tuple", "items": [flatten(i, tensors) for i in tree]}
    raise TypeError(f"a checkpoint cannot hold {type(tree).__name__}: {tree!r}")


def restore(structure: Any, tensors: dict[str, torch.Tensor]) -> Tree:
    """The inverse of `flatten`."""
    if not isinstance(structure, dict):
        return structure
    kind = structure[KIND]
    if kind == "tensor":
        return tensors[structure["name"]]
    if kind == "float":
        return float.fromhex(structure["hex"])
    if kind == "dict":
        return {restore(key, tensors): restore(value, tensors) for key, value in structure["items"]}
    items = [restore(item, tensors) for item in structure["items"]]
    return items if kind == "list" else tuple(items)
