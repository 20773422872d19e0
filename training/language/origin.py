"""Whether a language model may go on learning from the weights of another one."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tasks.errors import InvalidPackage, InvalidRecipe
from training.checkpoint import CheckpointFacts, read_facts
from training.networks.architecture import parse_options
from training.networks.config import ModelConfig
from training.tokenizer_file import TOKENIZER_FILE, keep_tokenizer

LEARNING_ONLY = ("dropout", "checkpoint_gradients")
"""Options that change how a network learns, not what it computes."""


def find_misfit(folder: Path, config: ModelConfig, tokenizer: Path) -> str:
    """What would have to be set for the weights in a checkpoint folder to mean the same in a network of `config` that
    reads texts by `tokenizer`; empty where nothing. Tensors of the same shapes are not enough: they may belong to
    other heads, and to other words. Raises InvalidRecipe."""
    try:
        facts, words = read_facts(folder), (folder / TOKENIZER_FILE).read_bytes()
    except (InvalidPackage, OSError) as error:
        raise InvalidRecipe(f"model.warm_start: {error}") from error
    if facts.network.architecture != config.architecture:
        return f"it is of the architecture {facts.network.architecture!r}, not {config.architecture!r}"
    changes = differing_options(facts, config)
    if words != tokenizer.read_bytes():
        changes.append(f"text.tokenizer.path={keep_tokenizer(words)}")
    return f"it would with {', '.join(changes)}" if changes else ""


def differing_options(facts: CheckpointFacts, config: ModelConfig) -> list[str]:
    """The checkpoint's options that a config has otherwise, as `--set` takes them."""
    theirs, ours = (
        msgspec.to_builtins(parse_options(each, "language_model", "model.warm_start"))
        for each in (facts.network, config)
    )
    return [
        f"model.options.{name}={msgspec.json.encode(value).decode()}"
        for name, value in theirs.items()
        if name not in LEARNING_ONLY and value != ours[name]
    ]
