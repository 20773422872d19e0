"""The graphs of every variant, written into the folder of the package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from export.captioner_graph import write_encoder
from export.compress.block_weights import quantize_blocks
from export.generative.recipe import BlockWeights, GenerativeRecipe, GenerativeVariant, Half, Int4
from export.generative.subject import GenerativeSubject
from export.graphs.decoder_graph import copy_graph, decoder_graph
from export.graphs.graph_builder import save_graph
from export.graphs.graph_form import GraphForm
from registry.decoder_interface import COPY, DECODER, ENCODER
from tasks.captioning import CaptioningSpec
from training.progress import track

GraphFiles = Mapping[str, Path]
"""Role → file."""


def write_variants(subject: GenerativeSubject, recipe: GenerativeRecipe, output: Path) -> dict[str, GraphFiles]:
    """<variant>/decoder.onnx and copy.onnx for every variant, and one encoder.onnx for all."""
    shared: dict[str, Path] = {}
    if subject.encoder is not None:
        shared[ENCODER] = output / "encoder.onnx"
        assert isinstance(subject.task_spec, CaptioningSpec)
        write_encoder(subject.encoder, subject.task_spec.image, shared[ENCODER])
    variants: dict[str, GraphFiles] = {}
    for name, config in track(recipe.variants.items(), "writing graphs", len(recipe.variants)):
        model = build_decoder(subject, config)
        graphs = {DECODER: output / name / "decoder.onnx", COPY: output / name / "copy.onnx"}
        graphs[DECODER].parent.mkdir()
        save_graph(model, graphs[DECODER])
        save_graph(copy_graph(model), graphs[COPY])
        variants[name] = graphs | shared
    return variants


def build_decoder(subject: GenerativeSubject, config: GenerativeVariant) -> Any:
    """One technique, from the network on."""
    prompt: Literal["tokens", "features"] = "tokens" if subject.encoder is None else "features"
    context = subject.task_spec.context
    if isinstance(config, BlockWeights):
        plain = decoder_graph(subject.decoder, GraphForm(context=context, prompt=prompt, weights="compressible"))
        return quantize_blocks(plain, 4 if isinstance(config, Int4) else 8, config.block_size)
    float_type: Literal["fp16", "fp32"] = "fp16" if isinstance(config, Half) else "fp32"
    return decoder_graph(subject.decoder, GraphForm(context=context, prompt=prompt, float_type=float_type))
