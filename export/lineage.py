"""When, and with which libraries, a package was made."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version

import msgspec

from registry.manifest import Lineage

LIBRARIES = ("numpy", "onnx", "onnxscript", "pillow", "tokenizers", "torch")


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def library_versions() -> dict[str, str]:
    """Of everything that can change a graph or a pixel."""
    return {name: version(name) for name in LIBRARIES}


def complete_lineage(lineage: Lineage, recipe: msgspec.Struct) -> Lineage:
    """Where the model came from, and how it was exported."""
    return msgspec.structs.replace(
        lineage,
        recipe={**lineage.recipe, "export": msgspec.to_builtins(recipe)},
        versions={**lineage.versions, **library_versions()},
    )
