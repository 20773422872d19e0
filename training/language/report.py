"""The evidence of a finished training: bits per byte beside an n-gram model's, and continuations to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from matplotlib.figure import Figure

from tasks.text import Tokenizer
from tasks.text_generation import TextGenerationSpec
from training.data.source import DataSource, Split, SplitName
from training.figures import draw_learning_curve, save
from training.history import EpochRecord
from training.language.evaluation import bits_per_byte, continue_tokens
from training.language.kneser_ney import KneserNey
from training.language.token_stream import open_token_stream
from training.language.windows import JudgingWindows
from training.networks.language_network import LanguageNetwork
from training.progress import pulse

SAMPLES, PROMPT_TOKENS, SAMPLE_TOKENS = 6, 12, 100
TEMPERATURE = 0.8
MAX_BASELINE_BYTES = 64 * 2**20
"""The n-gram model is fitted to no more of the training texts, drawn evenly: its table is forty times as large."""
HELD_OUT: tuple[tuple[str, SplitName], ...] = (("val", "validation"), ("test", "test"))


@dataclass(frozen=True)
class Sample:
    """The beginning of a held-out text, and what the model made of it."""

    prompt: str
    continuation: str


@dataclass(frozen=True)
class LanguageEvaluation:
    """What the model is worth. `metrics`: bits per byte of both held-out splits, and those of the n-gram model that
    was fitted to the same training texts."""

    spec: TextGenerationSpec
    metrics: dict[str, float]
    samples: tuple[Sample, ...]

    def write_figures(self, history: Sequence[EpochRecord], folder: Path) -> None:
        draw_learning_curve(history, "validation bits per byte", folder / "learning_curve.png", "training")
        draw_bits_per_byte(self.metrics, folder / "bits_per_byte.png")
        written = (f"{sample.prompt}⟶{sample.continuation}" for sample in self.samples)
        (folder / "samples.txt").write_text("\n\n————\n\n".join(written) + "\n", encoding="utf-8")
        facts = {"metrics": self.metrics, "samples": self.samples}
        (folder / "language.json").write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=2))


def evaluate(
    network: LanguageNetwork, source: DataSource, spec: TextGenerationSpec, tokenizer_file: Path
) -> LanguageEvaluation:
    """Runs validation and test texts through a trained network, and through an n-gram model."""
    (end_of_text,) = spec.end_tokens
    with pulse("fitting a 5-gram model"):
        baseline = KneserNey.fit(draw_texts(payloads(source.split("train")), MAX_BASELINE_BYTES))
    metrics: dict[str, float] = {}
    for prefix, name in HELD_OUT:
        split = source.split(name)
        stream = open_token_stream(split, tokenizer_file, end_of_text)
        found = bits_per_byte(network, JudgingWindows(stream, spec.context), spec.context)
        expected = baseline.bits_per_byte(payloads(split))
        metrics |= {
            f"{prefix}_bits_per_byte": found,
            f"{prefix}_kneser_ney_bits_per_byte": expected,
            f"{prefix}_below_kneser_ney": 1 - found / expected,
        }
    samples = write_samples(network, source.split("validation"), spec, Tokenizer(tokenizer_file))
    return LanguageEvaluation(spec, metrics, samples)


def payloads(split: Split) -> list[bytes]:
    """Every text of a split, in UTF-8."""
    return [example.payload for example in split]


def draw_texts(texts: list[bytes], max_bytes: int) -> list[bytes]:
    """All texts, or as many of them, drawn at random, as begin within so many bytes; always the same."""
    if sum(map(len, texts)) <= max_bytes:
        return texts
    order = np.random.default_rng(0).permutation(len(texts))
    lengths = np.array([len(texts[i]) for i in order])
    return [texts[i] for i in order[np.cumsum(lengths) - lengths < max_bytes]]


def write_samples(
    network: LanguageNetwork, split: Split, spec: TextGenerationSpec, tokenizer: Tokenizer
) -> tuple[Sample, ...]:
    """Continuations of the first texts of a split."""
    samples = []
    for index in range(min(SAMPLES, len(split))):
        prompt = tokenizer.encode(split[index].payload.decode())[: min(PROMPT_TOKENS, spec.context // 2)]
        begin = [] if spec.begin_token is None else [spec.begin_token]
        room = min(SAMPLE_TOKENS, spec.context - len(prompt) - len(begin))
        continuation = continue_tokens(network, [*begin, *prompt], room, TEMPERATURE, index)
        ends = [place for place, token in enumerate(continuation) if token in spec.end_tokens]
        written = continuation[: ends[0]] if ends else continuation
        samples.append(Sample(tokenizer.decode(prompt), tokenizer.decode(written)))
    return tuple(samples)


def draw_bits_per_byte(metrics: dict[str, float], path: Path) -> None:
    """The model's figure beside the n-gram model's, for both held-out splits; less is better."""
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    for offset, name, label in ((-0.2, "bits_per_byte", "model"), (0.2, "kneser_ney_bits_per_byte", "5-gram")):
        heights = [metrics[f"{prefix}_{name}"] for prefix, _ in HELD_OUT]
        bars = axes.bar([place + offset for place in range(len(HELD_OUT))], heights, width=0.38, label=label)
        axes.bar_label(bars, fmt="%.3f")
    axes.set_xticks(range(len(HELD_OUT)), [name for _, name in HELD_OUT])
    axes.set(ylabel="bits per byte")
    axes.legend(loc="lower right")
    save(figure, path)
