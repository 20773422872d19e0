"""The graphs of every variant, written into the folder of the package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from export.captioner_graph import write_encoder
from export.compress.block_weights import BlockWeights, quantize_blocks
from export.compress.half_precision import HalfPrecision
from export.compress.network_steps import NetworkSteps
from export.compress.steps import graph_steps, name_of, network_steps
from export.compress.technique import GraphTechnique, NetworkTechnique
from export.generative.recipe import GenerativeRecipe
from export.generative.subject import GenerativeSubject
from export.graphs.decoder_graph import copy_graph, decoder_graph
from export.graphs.graph_builder import FloatType, save_graph
from export.graphs.graph_form import GraphForm
from registry.decoder_interface import COPY, DECODER, ENCODER
from tasks.captioning import CaptioningSpec
from tasks.errors import InvalidRecipe
from training.progress import track

GraphFiles = Mapping[str, Path]
"""Role → file."""


def write_variants(
    subject: GenerativeSubject, recipe: GenerativeRecipe, output: Path, description: str = "writing graphs"
) -> dict[str, GraphFiles]:
    """<variant>/decoder.onnx and copy.onnx for every variant; encoder.onnx of all that have the trained one as it is,
    or <variant>/encoder.onnx."""
    networks = NetworkSteps(subject.learning) if subject.learning else None
    variants: dict[str, GraphFiles] = {}
    for name, config in track(recipe.variants.items(), description, len(recipe.variants)):
        steps = network_steps(config.steps)
        form = compressed_subject(subject, networks, steps) if steps else subject
        model = build_decoder(form, graph_steps(config.steps))
        graphs = {DECODER: output / name / "decoder.onnx", COPY: output / name / "copy.onnx"}
        graphs[DECODER].parent.mkdir()
        save_graph(model, graphs[DECODER])
        save_graph(copy_graph(model), graphs[COPY])
        encoder = place_encoder(form, output / name if steps else output)
        variants[name] = graphs | halve_encoder(encoder, graph_steps(config.steps), output / name)
    return variants


def compressed_subject(
    subject: GenerativeSubject, networks: NetworkSteps | None, steps: Sequence[NetworkTechnique]
) -> GenerativeSubject:
    """The subject with its network after the steps. Raises InvalidRecipe for a model that was made elsewhere."""
    if networks is None:
        raise InvalidRecipe(
            f"{name_of(steps[0])} changes the network and lets it learn on, and {subject.name} was made elsewhere, "
            "without data to learn from. Take steps that change the graph, or train it here"
        )
    return subject.with_network(networks.compress(steps))


def place_encoder(subject: GenerativeSubject, folder: Path) -> dict[str, Path]:
    """Writes the encoder of a model that has one, unless it is there."""
    if subject.encoder is None:
        return {}
    assert isinstance(subject.task_spec, CaptioningSpec)
    path = folder / "encoder.onnx"
    if not path.exists():
        write_encoder(subject.encoder, subject.task_spec.image, path)
    return {ENCODER: path}


def halve_encoder(encoder: dict[str, Path], steps: Sequence[GraphTechnique], folder: Path) -> dict[str, Path]:
    """The encoder, in 16 bits where the decoder is: a GPU would spend more on it than on many tokens."""
    half = next((step for step in steps if isinstance(step, HalfPrecision)), None)
    if half is None or not encoder:
        return encoder
    path = folder / "encoder.onnx"
    half.compress_graph(encoder[ENCODER], path, [])
    return {ENCODER: path}


def build_decoder(subject: GenerativeSubject, steps: Sequence[GraphTechnique]) -> Any:
    """The decoder graph in the form that the steps ask for."""
    prompt: Literal["tokens", "features"] = "tokens" if subject.encoder is None else "features"
    context = subject.task_spec.context
    for step in steps:
        if isinstance(step, BlockWeights):
            plain = decoder_graph(subject.decoder, GraphForm(context=context, prompt=prompt, weights="compressible"))
            return quantize_blocks(plain, step)
    float_type: FloatType = next((step.half for step in steps if isinstance(step, HalfPrecision)), "fp32")
    return decoder_graph(subject.decoder, GraphForm(context=context, prompt=prompt, float_type=float_type))
