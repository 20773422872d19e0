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
    weights: Literal["whole", "compressible"] = "whole"
    """"compressible": every layer is a matrix product whose weight nothing else reads. A head that the network ties to
    the embeddings then stands twice, because a step reads all of the head and a row of the embeddings; and an LSTM
    becomes a loop of products."""
    prompt: Literal["tokens", "features"] = "tokens"
    """Whether the graph has the input `features` too."""
