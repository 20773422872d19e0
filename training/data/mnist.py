"""MNIST and its relatives in the IDX format (LeCun): a big-endian header, then bytes; gzipped or not."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.errors import BadInput, NotFound
from training.data.config import MnistConfig
from training.data.digits import DIGIT_LABELS, encode_png
from training.data.partition import partition_examples
from training.data.source import Example, MemorySplit, SplitSource

UNSIGNED_BYTE = 0x08


def open_mnist(config: MnistConfig) -> SplitSource:
    """The four files under `path`; validation is drawn from the training files. Raises NotFound or BadInput."""
    folder = Path(config.path)
    training = read_examples(folder, "train")
    splits = partition_examples(training, {"validation": config.validation_fraction}, config.seed)
    return SplitSource(DIGIT_LABELS, {**splits, "test": MemorySplit(read_examples(folder, "t10k"))})


def read_examples(folder: Path, prefix: str) -> list[Example]:
    """Pictures and labels of one pair of files, the pictures as PNG."""
    pictures = read_idx(find_file(folder, f"{prefix}-images-idx3-ubyte"))
    labels = read_idx(find_file(folder, f"{prefix}-labels-idx1-ubyte"))
    if pictures.ndim != 3 or labels.ndim != 1 or len(pictures) != len(labels):
        raise BadInput(f"{folder}: {prefix} pictures {pictures.shape} and labels {labels.shape} do not belong together")
    if len(labels) and labels.max() >= len(DIGIT_LABELS):
        raise BadInput(f"{folder}: a {prefix} label is above {len(DIGIT_LABELS) - 1}")
    return [Example(encode_png(picture), int(label)) for picture, label in zip(pictures, labels, strict=True)]


def find_file(folder: Path, name: str) -> Path:
    """The file, gzipped or not. Raises NotFound."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise NotFound(f"data.path: neither {name} nor {name}.gz in {folder}")


def read_idx(path: Path) -> NDArray[np.uint8]:
    """An IDX file of unsigned bytes. Raises BadInput where header and length disagree."""
    content = unzip(path) if path.suffix == ".gz" else path.read_bytes()
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != UNSIGNED_BYTE:
        raise BadInput(f"{path}: not an IDX file of unsigned bytes")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise BadInput(f"{path}: cut off inside its header")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if int(np.prod(shape, dtype=object)) != len(content) - start:
        raise BadInput(f"{path}: the header says {list(shape)}, but {len(content) - start} bytes follow")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def unzip(path: Path) -> bytes:
    """What a gzipped file holds. Raises BadInput."""
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{path}: it cannot be unzipped ({error}); fetch it anew, or unzip it yourself") from error
