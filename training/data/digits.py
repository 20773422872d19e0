"""scikit-learn's handwritten digits: the scans that `scenes` are made of, and a source of their own (a smoke test)."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.config import DigitsConfig
from training.data.partition import partition_examples
from training.data.source import Example, SplitSource

DIGIT_LABELS = tuple(str(digit) for digit in range(10))


def load_scans() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All scans as uint8 [1797, 8, 8], ink 0…255 on a ground of 0, and their digits [1797]."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    scans: NDArray[np.uint8] = np.clip(bunch.images * (255 / 16), 0, 255).round().astype(np.uint8)
    return scans, bunch.target.astype(np.int64)


def open_digits(config: DigitsConfig) -> SplitSource:
    """The plain scans as PNG, split at random with every class in proportion."""
    scans, targets = load_scans()
    examples = [Example(encode_png(scan), int(target)) for scan, target in zip(scans, targets, strict=True)]
    fractions = {"validation": config.validation_fraction, "test": config.test_fraction}
    return SplitSource(DIGIT_LABELS, partition_examples(examples, fractions, config.seed))


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """uint8 [height, width] or [height, width, 3] → PNG, so that small pictures lose nothing."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
