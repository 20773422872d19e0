"""A real package of a tiny language model with random weights: what tests of generation work on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch

from export.graphs.decoder_graph import copy_graph, decoder_graph
from export.graphs.graph_builder import save_graph
from export.graphs.graph_form import GraphForm
from monitoring.profile import build_profile, encode_profile
from registry.manifest import (
    Evidence,
    GateResult,
    GoldenOutputs,
    Graph,
    Lineage,
    Manifest,
    Requirements,
    Variant,
)
from registry.package import ModelPackage, seal_package
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.generation import Generated, GenerativeTask, Prompt, open_generative_task
from tasks.text import train_byte_level_bpe
from tasks.text_generation import TextGenerationSpec
from training.models import llama, lstm
from training.networks.language_network import LanguageNetwork

END_OF_TEXT = "<|endoftext|>"
END_TOKEN = 0
CORPUS = (
    "Return the number of items in the list, or raise a ValueError if there are none.",
    "Write the text to the file and close it; the file is opened again when it is needed.",
    "The name of the module that was imported first, as a string; None if nothing was imported.",
    "Wait until the lock is free, and take it. A timeout of zero returns at once: naïve, but quick — even at 0 °C.",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


@dataclass(frozen=True)
class TinyLanguage:
    """What may be varied. `slots`: numbers that may be served; `num_profile`: prompts behind the reference profile.
    `is_endless`: of a llama, that the most likely token is never the one that ends an answer."""

    name: str = "tiny"
    architecture: str = "llama"
    context: int = 64
    width: int = 64
    depth: int = 2
    seed: int = 0
    slots: tuple[int, ...] = (1, 4)
    num_golden: int = 3
    num_golden_tokens: int = 8
    num_profile: int = 20
    chat_template: bool = True
    is_endless: bool = False


def build_language_package(folder: Path, architecture: str = "llama", **options: object) -> ModelPackage:
    """A complete package in the new folder `folder`. `architecture`: llama or lstm; `options`: see TinyLanguage."""
    tiny = TinyLanguage(architecture=architecture, **options)  # type: ignore[arg-type]
    (folder / "fp32").mkdir(parents=True)
    (folder / "golden").mkdir()
    (folder / "tokenizer.json").write_bytes(train_byte_level_bpe(CORPUS, 320, [END_OF_TEXT]))
    if tiny.chat_template:
        (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    spec = TextGenerationSpec(
        vocabulary=320,
        context=tiny.context,
        begin_token=0,
        end_tokens=(END_TOKEN,),
        chat_template="chat_template.jinja" if tiny.chat_template else None,
    )
    task, network = open_generative_task(spec, folder), build_network(tiny, spec.vocabulary)
    graphs = write_graphs(network, tiny.context, folder)
    prompts = [f"{CORPUS[i % len(CORPUS)][: 12 + 5 * i]}" for i in range(tiny.num_golden)]
    golden = {f"golden/{i:04}.txt": prompt for i, prompt in enumerate(prompts)}
    for name, prompt in golden.items():
        (folder / name).write_text(prompt, encoding="utf-8")
    answers = [continue_greedily(network, task.prompt(each).tokens, tiny.num_golden_tokens) for each in prompts]
    np.savez(
        folder / "fp32" / "golden.npz",
        logits=np.stack([logits for _, _, logits in answers]),
        continuation=np.array([tokens for tokens, _, _ in answers], np.int64),
    )
    (folder / "fp32" / "profile.json").write_bytes(profile_of(task, network, tiny.num_profile))
    variant = Variant(
        precision="fp32",
        graphs=graphs,
        requires=Requirements(),
        golden=GoldenOutputs(file="fp32/golden.npz", max_abs_difference={"logits": 1e-3, "continuation": 0.0}),
        evidence=plain_evidence(sum(path.stat().st_size for path in (folder / "fp32").glob("*.onnx"))),
        profile="fp32/profile.json",
    )
    manifest = Manifest(
        name=tiny.name,
        task=msgspec.to_builtins(spec),
        image_sizes=(),
        batch_buckets=tiny.slots,
        variants={"fp32": variant},
        golden_inputs=tuple(golden),
        lineage=Lineage(created_at="2026-01-01T00:00:00Z", source="built by hand"),
    )
    return seal_package(folder, manifest)


def build_network(tiny: TinyLanguage, vocabulary: int) -> LanguageNetwork:
    """Random, with weights so large that what comes next depends on what was said."""
    torch.manual_seed(tiny.seed)
    network: LanguageNetwork
    if tiny.architecture == "llama":
        heads = llama.Options(
            width=tiny.width, depth=tiny.depth, heads=tiny.width // 16, kv_heads=tiny.width // 32, tie_embeddings=False
        )
        network = llama.build(heads, vocabulary, tiny.context)
    else:
        network = lstm.build(
            lstm.Options(width=tiny.width, hidden=tiny.width, depth=tiny.depth), vocabulary, tiny.context
        )
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.mul_(5)
        if tiny.is_endless:
            # The logit is 0, and the greatest of hundreds of random ones is above that.
            network.head_weight[END_TOKEN] = 0
    return network.eval()


def write_graphs(network: LanguageNetwork, context: int, folder: Path) -> dict[str, Graph]:
    """<folder>/fp32/decoder.onnx and copy.onnx, as the manifest describes them."""
    decoder = decoder_graph(network, GraphForm(context=context))
    graphs = {}
    for role, model in (("decoder", decoder), ("copy", copy_graph(decoder))):
        file = f"fp32/{role}.onnx"
        save_graph(model, folder / file)
        runtime = OnnxRuntime(folder / file)
        graphs[role] = Graph(file=file, inputs=runtime.inputs, outputs=runtime.outputs)
        runtime.close()
    return graphs


def continue_greedily(
    network: LanguageNetwork, prompt: tuple[int, ...], count: int
) -> tuple[list[int], list[float], np.ndarray]:
    """`count` tokens after a prompt, their log-probabilities, and the logits FP32 [vocabulary] after the prompt."""
    tokens, logprobs, first = list(prompt), [], np.zeros(0, np.float32)
    with torch.inference_mode():
        for _ in range(count):
            logits = network(torch.tensor([tokens]))[0, -1]
            first = first if len(first) else logits.numpy()
            best = int(logits.argmax())
            logprobs.append(float(logits.log_softmax(-1)[best]))
            tokens.append(best)
    return tokens[len(prompt) :], logprobs, first


def profile_of(task: GenerativeTask, network: LanguageNetwork, count: int) -> bytes:
    """Signals of short greedy answers."""
    observations = []
    for index in range(count):
        prompt: Prompt = task.prompt(CORPUS[index % len(CORPUS)][: 5 + index])
        tokens, logprobs, _ = continue_greedily(network, prompt.tokens, 1 + index % 5)
        answer = Generated(tuple(tokens), task.tokenizer.decode(tokens), "length", tuple(logprobs))
        observations.append(task.signals(prompt, answer, None))
    return encode_profile(build_profile(task.signal_specs(), observations))


def plain_evidence(num_bytes: int) -> Evidence:
    """Evidence of a variant that lost nothing."""
    return Evidence(
        metric="bits_per_byte",
        better="lower",
        num_examples=100,
        metrics={"bits_per_byte": 2.0, "trained_bits_per_byte": 2.0, "decision_agreement": 1.0},
        per_class=(),
        latency_ms={"1": 0.1},
        num_bytes=num_bytes,
        gates=(GateResult(name="decision_agreement", value=1.0, limit=0.99, passed=True),),
    )
