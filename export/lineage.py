"""When, and with which libraries, a package was made."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version

LIBRARIES = ("numpy", "onnx", "onnxscript", "pillow", "torch")


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def library_versions() -> dict[str, str]:
    """Of everything that can change a graph or a pixel."""
    return {name: version(name) for name in LIBRARIES}
