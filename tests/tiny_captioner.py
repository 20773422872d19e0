"""A real package of a tiny captioner with random weights: what tests of captioning work on."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
from PIL import Image

from export.captioner_graph import check_encoder
from export.graphs.decoder_graph import copy_graph, decoder_graph
from export.graphs.graph_builder import save_graph
from export.graphs.graph_form import GraphForm
from monitoring.profile import build_profile, encode_profile
from registry.manifest import (
    GoldenOutputs,
    Graph,
    Lineage,
    Manifest,
    Requirements,
    Variant,
)
from registry.package import ModelPackage, seal_package
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.captioning import Captioning, CaptioningSpec
from tasks.generation import Encoded, FinishReason, Generated
from tasks.image import ImageSpec
from tasks.text import train_byte_level_bpe
from tests.quick_graphs import write_quickly
from tests.tiny_language import plain_evidence
from training.captioning.greedy import caption_greedily
from training.models import llama, prefix_captioner
from training.networks.build import build_trunk
from training.networks.captioner import Captioner
from training.networks.config import ModelConfig

END_OF_TEXT = "<|endoftext|>"
CAPTIONS = tuple(
    f"a {colour} picture, brighter at the {side}" for colour in ("red", "green") for side in ("left", "right")
)
VOCABULARY, POSITIONS = 300, 16
IMAGE = ImageSpec(height=32, width=32)


@dataclass(frozen=True)
class TinyCaptioner:
    """What may be varied. `slots`: numbers that may be served; `num_profile`: pictures behind the reference profile."""

    name: str = "tiny-captioner"
    context: int = 64
    seed: int = 0
    slots: tuple[int, ...] = (1, 4)
    num_golden: int = 3
    num_golden_tokens: int = 8
    num_profile: int = 20


def picture(index: int) -> bytes:
    """A PNG of 48 × 40 pixels: red or green, brighter at the left or at the right, as CAPTIONS have it."""
    rng = np.random.default_rng(index)
    pixels = rng.integers(0, 60, (40, 48, 3))
    colour, side = divmod(index % 4, 2)
    half = slice(0, 24) if side == 0 else slice(24, 48)
    pixels[:, half, colour] += 150
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def build_captioner_package(folder: Path, **options: object) -> ModelPackage:
    """A complete package in the new folder `folder`. `options`: see TinyCaptioner."""
    tiny = TinyCaptioner(**options)  # type: ignore[arg-type]
    (folder / "fp32").mkdir(parents=True)
    (folder / "golden").mkdir()
    task, network = write_task(folder, tiny.context), build_network(tiny)
    golden = {f"golden/{index:04}.png": picture(index) for index in range(tiny.num_golden)}
    for name, payload in golden.items():
        (folder / name).write_bytes(payload)
    answers = [answer(network, task, payload, tiny.num_golden_tokens) for payload in golden.values()]
    continuation = np.full((len(answers), tiny.num_golden_tokens), -1, np.int64)
    for row, (_, generated, _) in zip(continuation, answers, strict=True):
        row[: len(generated.tokens)] = generated.tokens
    first = np.stack([logits for _, _, logits in answers])
    np.savez(folder / "fp32" / "golden.npz", logits=first, continuation=continuation)
    (folder / "fp32" / "profile.json").write_bytes(profile_of(network, task, tiny.num_profile))
    variant = Variant(
        precision="fp32",
        graphs=write_graphs(network, tiny.context, folder),
        requires=Requirements(),
        golden=GoldenOutputs(file="fp32/golden.npz", max_abs_difference={"logits": 1e-3, "continuation": 0.0}),
        evidence=plain_evidence(sum(path.stat().st_size for path in (folder / "fp32").glob("*.onnx"))),
        profile="fp32/profile.json",
    )
    manifest = Manifest(
        name=tiny.name,
        task=msgspec.to_builtins(task.spec),
        image_sizes=((IMAGE.height, IMAGE.width),),
        batch_buckets=tiny.slots,
        variants={"fp32": variant},
        golden_inputs=tuple(golden),
        lineage=Lineage(created_at="2026-01-01T00:00:00Z", source="built by hand"),
    )
    return seal_package(folder, manifest)


def write_task(folder: Path, context: int = 64) -> Captioning:
    """Writes the tokenizer, and opens the task that has it."""
    (folder / "tokenizer.json").write_bytes(train_byte_level_bpe(CAPTIONS, VOCABULARY, [END_OF_TEXT]))
    spec = CaptioningSpec(
        vocabulary=VOCABULARY,
        context=context,
        begin_token=0,
        end_tokens=(0,),
        image=IMAGE,
        positions=POSITIONS,
    )
    return Captioning(spec, folder)


def build_network(tiny: TinyCaptioner) -> Captioner:
    """Random, with weights so large that what comes next depends on the picture and on what was said."""
    torch.manual_seed(tiny.seed)
    backbone = ModelConfig(architecture="resnet", options={"depths": [1, 1, 1], "widths": [8, 8, 16], "stem": "halve"})
    decoder = llama.Options(width=64, depth=2, heads=4, kv_heads=2, tie_embeddings=False)
    options = prefix_captioner.Options(strides=(4, 8), channels=8, depth=1, decoder=decoder)
    network = prefix_captioner.build(options, build_trunk(backbone, IMAGE), VOCABULARY, tiny.context, IMAGE)
    with torch.no_grad():
        for parameter in network.decoder.parameters():
            if parameter.ndim > 1:
                parameter.mul_(5)
    return network.eval()


def write_graphs(network: Captioner, context: int, folder: Path) -> dict[str, Graph]:
    """<folder>/fp32/encoder.onnx, decoder.onnx and copy.onnx, as the manifest describes them."""
    files = {role: f"fp32/{role}.onnx" for role in ("encoder", "decoder", "copy")}
    write_quickly(network, IMAGE.height, IMAGE.width, folder / files["encoder"])
    check_encoder(network, IMAGE, folder / files["encoder"], (1, 3))
    decoder = decoder_graph(network.decoder, GraphForm(context=context, prompt="features"))
    save_graph(decoder, folder / files["decoder"])
    save_graph(copy_graph(decoder), folder / files["copy"])
    graphs = {}
    for role, file in files.items():
        runtime = OnnxRuntime(folder / file)
        graphs[role] = Graph(file=file, inputs=runtime.inputs, outputs=runtime.outputs)
        runtime.close()
    return graphs


def encode(network: Captioner, task: Captioning, payload: bytes) -> Encoded:
    """What torch makes of a picture."""
    sample = task.encoder.sample_from_bytes(payload)
    tensors = task.encoder.preprocess(sample)
    with torch.inference_mode():
        features, embedding = network(torch.tensor(tensors["image"])[None])
    return Encoded(sample, tensors, {"features": features[0].numpy(), "embedding": embedding[0].numpy()})


def answer(network: Captioner, task: Captioning, payload: bytes, count: int) -> tuple[Encoded, Generated, np.ndarray]:
    """A picture, at most `count` tokens about it, and the logits FP32 [vocabulary] of the first of them."""
    encoded = encode(network, task, payload)
    image = torch.tensor(encoded.tensors["image"])[None]
    tokens = caption_greedily(network, image, task.spec.begin_token, task.end_tokens, count)[0]
    fed = torch.tensor([[task.spec.begin_token, *tokens]])
    with torch.inference_mode():
        logits = network.next_logits(network.see(image), fed)[0]
    logprobs = [float(row.log_softmax(-1)[token]) for row, token in zip(logits, tokens, strict=False)]
    reason: FinishReason = "length" if len(tokens) == count else "stop"
    return encoded, Generated(tuple(tokens), task.tokenizer.decode(tokens), reason, tuple(logprobs)), logits[0].numpy()


def profile_of(network: Captioner, task: Captioning, count: int) -> bytes:
    """Signals of short greedy captions."""
    observations = []
    for index in range(count):
        encoded, generated, _ = answer(network, task, picture(index), 1 + index % 5)
        observations.append(task.signals(task.prompt_of(encoded), generated, encoded))
    return encode_profile(build_profile(task.signal_specs(), observations))
