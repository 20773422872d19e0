"""What decoder graphs of one and the same network may differ in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from export.graphs.graph_builder import FloatType


@dataclass(frozen=True, kw_only=True)
class GraphForm:
    """`context`: positions of a slot."""

    context: int
    float_type: FloatType = "fp32"
    """Of weights, states and everything between them."""
    head: Literal["shared", "own"] = "shared"
    """Where the network ties head and embeddings: "shared" keeps them once; "own" twice, so that the head, of which
    every step reads all, can be compressed, and the embeddings, of which it reads a row, be left as they are."""
    prompt: Literal["tokens", "features"] = "tokens"
    """Whether the graph has the input `features` too."""
