"""The tokenizer that a recipe asks for, as a tokenizer.json in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import version
from pathlib import Path

from tasks.errors import InvalidPackage, InvalidRecipe
from tasks.text import Tokenizer, train_byte_level_bpe
from training.data.cache import cache_key, cached_folder
from training.progress import pulse
from training.recipe import TokenizerConfig

TOKENIZER_FILE = "tokenizer.json"
TRAINER_VERSION = 1
"""Raised whenever the same texts would give another tokenizer."""


def open_tokenizer_file(config: TokenizerConfig, texts: Callable[[], Iterable[str]], digest: str) -> Path:
    """The file that the config names, checked; or one learnt from training texts, of which `digest` is known before
    they are read. Raises InvalidRecipe."""
    if config.path:
        return copy_tokenizer(config)
    key = cache_key(TRAINER_VERSION, digest, config.vocabulary, config.end_of_text, version("tokenizers"))
    folder = cached_folder("tokenizers", key, TOKENIZER_FILE, partial(learn_tokenizer, config, texts))
    return folder / TOKENIZER_FILE


def copy_tokenizer(config: TokenizerConfig) -> Path:
    """A tokenizer.json of the user's, under the name that checkpoints have for it. Raises InvalidRecipe."""
    try:
        tokenizer = Tokenizer(Path(config.path))
    except InvalidPackage as error:
        raise InvalidRecipe(f"text.tokenizer.path: {error}") from error
    if tokenizer.token_id(config.end_of_text) is None:
        raise InvalidRecipe(
            f"text.tokenizer.path: {config.path} has no token {config.end_of_text!r}: name the one that stands between "
            "texts in text.tokenizer.end_of_text"
        )
    return keep_tokenizer(Path(config.path).read_bytes())


def keep_tokenizer(content: bytes) -> Path:
    """A tokenizer.json in the cache."""
    key = cache_key(hashlib.sha256(content).hexdigest())
    return cached_folder("tokenizers", key, TOKENIZER_FILE, partial(write_tokenizer, content)) / TOKENIZER_FILE


def learn_tokenizer(config: TokenizerConfig, texts: Callable[[], Iterable[str]], folder: Path) -> None:
    """Writes a byte-level BPE into `folder`."""
    with pulse("learning a tokenizer"):
        write_tokenizer(train_byte_level_bpe(texts(), config.vocabulary, [config.end_of_text]), folder)


def write_tokenizer(content: bytes, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "partial.json").write_bytes(content)
    (folder / "partial.json").rename(folder / TOKENIZER_FILE)
