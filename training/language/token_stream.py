"""Texts as tokens: all those of a split in one array on disk, each with the end-of-text token before and after it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.text import Tokenizer
from training.data.cache import cache_key, cached_folder
from training.data.source import Split
from training.progress import track

STREAM_VERSION = 1
"""Raised whenever the same texts would give other files."""


@dataclass(frozen=True)
class TokenStream:
    """`tokens` int32 [T]: end of text, the first text, end of text, the second text, …, end of text; in a memory map.
    `starts` int64 [texts + 1]: where the end-of-text token before each text stands, and the last one. `num_bytes` int64
    [texts]: of each text in UTF-8."""

    tokens: NDArray[np.int32]
    starts: NDArray[np.int64]
    num_bytes: NDArray[np.int64]


def open_token_stream(split: Split, tokenizer_file: Path, end_of_text: int) -> TokenStream:
    """The tokens of a split, from the cache where they are known."""
    key = cache_key(STREAM_VERSION, split.digest, hashlib.sha256(tokenizer_file.read_bytes()).hexdigest(), end_of_text)
    encode = partial(write_tokens, split, tokenizer_file, end_of_text)
    folder = cached_folder("tokens", key, "tokens.npy", encode)
    return TokenStream(
        np.load(folder / "tokens.npy", mmap_mode="r", allow_pickle=False),
        np.load(folder / "starts.npy", allow_pickle=False),
        np.load(folder / "num_bytes.npy", allow_pickle=False),
    )


def write_tokens(split: Split, tokenizer_file: Path, end_of_text: int, folder: Path) -> None:
    """Writes the three arrays into `folder`, the tokens last."""
    folder.mkdir(exist_ok=True)
    tokenizer = Tokenizer(tokenizer_file)
    pieces: list[NDArray[np.int32]] = []
    num_bytes = []
    for example in track(split, "cutting texts into tokens", len(split)):
        pieces.append(np.array([end_of_text, *tokenizer.encode(example.payload.decode())], np.int32))
        num_bytes.append(len(example.payload))
    np.save(folder / "starts.npy", np.cumsum([0, *map(len, pieces)], dtype=np.int64), allow_pickle=False)
    np.save(folder / "num_bytes.npy", np.array(num_bytes, np.int64), allow_pickle=False)
    pieces.append(np.array([end_of_text], np.int32))
    np.save(folder / "partial.npy", np.concatenate(pieces), allow_pickle=False)
    (folder / "partial.npy").rename(folder / "tokens.npy")
