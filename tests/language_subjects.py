"""A language model trained for seconds on made-up sentences, and its data: what tests of generative export work on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

import torch
from torch.nn import functional

from export.generative.subject import GenerativeSubject
from registry.manifest import Lineage
from tasks.text import Tokenizer, train_byte_level_bpe
from tasks.text_generation import TextGenerationSpec
from training.models import llama, lstm
from training.networks.language_network import LanguageNetwork

VOCABULARY, CONTEXT = 320, 64
SUBJECTS = ("the list", "a file", "this module", "every lock", "the café", "no thread", "an item")
VERBS = ("opens", "returns", "holds", "counts", "forgets", "replaces")
OBJECTS = ("all its items.", "the naïve name.", "nothing at all.", "what was said before.", "0 °C or less.")


class Document(NamedTuple):
    payload: bytes
    target: None = None


def document(seed: int) -> str:
    """About 60 sentences."""
    rng = random.Random(seed)
    return " ".join(" ".join(map(rng.choice, (SUBJECTS, VERBS, OBJECTS))) for _ in range(60))


def language_subject(folder: Path, architecture: str = "llama", steps: int = 120) -> GenerativeSubject:
    """`folder` gets the tokenizer."""
    texts = [document(seed) for seed in range(40)]
    (folder / "tokenizer.json").write_bytes(train_byte_level_bpe(texts, VOCABULARY, ["<|endoftext|>"]))
    tokenizer = Tokenizer(folder / "tokenizer.json")
    torch.manual_seed(0)
    network: LanguageNetwork
    if architecture == "llama":
        options = llama.Options(width=64, depth=2, heads=4, kv_heads=2)
        network = llama.build(options, VOCABULARY, CONTEXT)
    else:
        network = lstm.build(lstm.Options(width=64, hidden=96, depth=1), VOCABULARY, CONTEXT)
    fit(network, torch.tensor([token for text in texts for token in (0, *tokenizer.encode(text))]), steps)
    return GenerativeSubject(
        name="sentences",
        task_spec=TextGenerationSpec(
            vocabulary=VOCABULARY, context=CONTEXT, begin_token=0, end_tokens=(0,), defaults={"max_tokens": 12}
        ),
        folder=folder,
        decoder=network.eval(),
        encoder=None,
        held_out=[Document(document(seed).encode()) for seed in range(100, 112)],
        spare=[Document(document(seed).encode()) for seed in range(200, 206)],
        lineage=Lineage(created_at="2026-01-01T00:00:00Z", source="test"),
    )


def fit(network: LanguageNetwork, tokens: torch.Tensor, steps: int) -> None:
    """A few steps of Adam on random windows."""
    torch.set_num_threads(1)
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(steps):
        starts = torch.randint(len(tokens) - CONTEXT - 1, (16,)).tolist()
        batch = torch.stack([tokens[start : start + CONTEXT + 1] for start in starts])
        logits = network(batch[:, :-1])
        loss = functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
