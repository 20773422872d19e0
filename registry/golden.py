"""Golden outputs: the arrays that a variant answered to the golden inputs where it was exported."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from tasks.errors import InvalidPackage
from tasks.task import Array

MAX_GOLDEN_BYTES = 2**30
"""Unpacked. A golden set is a handful of pictures; what is larger was made to exhaust the memory of its reader."""

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


def read_arrays(path: Path) -> dict[str, Array]:
    with zipfile.ZipFile(path) as archive:
        num_bytes = sum(entry.file_size for entry in archive.infolist())
    if num_bytes > MAX_GOLDEN_BYTES:
        raise ValueError(f"it unpacks to {num_bytes:,} bytes; at most {MAX_GOLDEN_BYTES:,} are read")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
