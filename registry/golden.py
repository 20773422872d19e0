"""Golden outputs: the arrays that a variant answered to the golden inputs where it was exported.

Those of a model that generates are `logits` FP32 [inputs, vocabulary] after each prompt, and
`continuation` INT64 [inputs, n], the tokens that greedy decoding takes from there, −1 behind the last one.
"""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from registry.decoder_interface import LOGITS
from tasks.errors import InvalidPackage
from tasks.generative_spec import GenerativeSpec
from tasks.task import Array

MAX_GOLDEN_BYTES = 2**30
"""Unpacked. A golden set is a handful of pictures; what is larger was made to exhaust the memory of its reader."""

CONTINUATION = "continuation"
"""The one golden output that no graph has: many runs of the decoder make it. It is the same or it is wrong."""
NO_TOKEN = -1
"""What stands behind the last token of a continuation that is shorter than others."""

UNREADABLE = (
    OSError,
    ValueError,  # numpy: no array, or one of objects, which nothing here ever unpickles
    KeyError,
    EOFError,
    SyntaxError,
    tokenize.TokenError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    NotImplementedError,  # a compression method that Python does not have
    RuntimeError,  # an encrypted archive
    MemoryError,
)


def read_golden_outputs(path: Path, names: Collection[str], num_inputs: int) -> dict[str, Array]:
    """Output name → array [num_inputs, …], all finite. Raises InvalidPackage for anything else."""
    try:
        arrays = read_arrays(path)
    except UNREADABLE as error:
        raise InvalidPackage(f"{path} is not a readable .npz of arrays: {error}") from error
    if set(arrays) != set(names):
        raise InvalidPackage(f"{path} holds outputs {sorted(arrays)}; the manifest describes {sorted(names)}")
    for name, array in arrays.items():
        if array.ndim == 0 or len(array) != num_inputs:
            found = "no batch axis" if array.ndim == 0 else f"{len(array)} answers"
            raise InvalidPackage(f"{path}: output {name!r} has {found}, but there are {num_inputs} golden inputs")
        if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
            raise InvalidPackage(f"{path}: output {name!r} ({array.dtype}) has values that are not finite numbers")
    return arrays


def check_continuation(path: Path, outputs: Mapping[str, Array], spec: GenerativeSpec) -> None:
    """Raises InvalidPackage for golden outputs that no model of such a vocabulary and context could have given."""
    logits, tokens, vocabulary = outputs[LOGITS], outputs[CONTINUATION], spec.vocabulary
    if logits.dtype != np.float32 or logits.shape[1:] != (vocabulary,):
        raise InvalidPackage(
            f"{path}: output {LOGITS!r} is {logits.dtype} {list(logits.shape)}, not float32 [inputs, {vocabulary}]"
        )
    if tokens.dtype != np.int64 or tokens.ndim != 2:
        raise InvalidPackage(
            f"{path}: output {CONTINUATION!r} is {tokens.dtype} {list(tokens.shape)}, not int64 [inputs, tokens]"
        )
    if not 0 < tokens.shape[1] < spec.context:
        raise InvalidPackage(
            f"{path}: output {CONTINUATION!r} has {tokens.shape[1]} tokens for each input; a context of {spec.context} "
            f"has room for 1 to {spec.context - 1}"
        )
    resumed = (tokens[:, :-1] == NO_TOKEN) & (tokens[:, 1:] != NO_TOKEN)
    if tokens.min() < NO_TOKEN or tokens.max() >= vocabulary or resumed.any():
        raise InvalidPackage(
            f"{path}: output {CONTINUATION!r} must hold tokens from 0 to {vocabulary - 1}, and {NO_TOKEN} behind the "
            "last of an answer"
        )


def read_arrays(path: Path) -> dict[str, Array]:
    with zipfile.ZipFile(path) as archive:
        num_bytes = sum(entry.file_size for entry in archive.infolist())
    if num_bytes > MAX_GOLDEN_BYTES:
        raise ValueError(f"it unpacks to {num_bytes:,} bytes; at most {MAX_GOLDEN_BYTES:,} are read")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
