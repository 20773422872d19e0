"""How far sound hosts may differ on a compressed variant: what its graph says when other kernels multiply.

Here activations become bytes on their way into a compressed layer; a GPU, say, multiplies the same weights with
activations as they are. The difference between the two bounds what rounding can do on any host, and is far smaller than
that between the variant and the trained model, in which the weights lost their last bits for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from export.generative.continuation import Continuation
from export.generative.graph_speaker import GraphSpeaker
from export.generative.variants import GraphFiles
from export.graphs.graph_builder import save_graph
from registry.decoder_interface import DECODER
from tasks.task import largest_difference

FLOAT_ACTIVATIONS = 1
"""The accuracy level of MatMulNBits at which it multiplies floats."""


def kernel_difference(graphs: GraphFiles, continuations: Sequence[Continuation], context: int) -> float:
    """Largest difference of any logit after the prompts."""
    with TemporaryDirectory() as folder:
        decoder = Path(folder) / "decoder.onnx"
        write_with_float_activations(graphs[DECODER], decoder)
        speaker = GraphSpeaker({**graphs, DECODER: decoder}, 1, context, 1)
        try:
            return max(
                largest_difference(each.first_logits, speaker.expect(each.prompt, each.tokens[:1])[0])
                for each in continuations
            )
        finally:
            speaker.close()


def write_with_float_activations(source: Path, target: Path) -> None:
    model = onnx.load(source)
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "MatMulNBits" and attribute.name == "accuracy_level":
                attribute.i = FLOAT_ACTIVATIONS
    save_graph(model, target)
