"""Labelled sample pictures of an imported model: a folder with one folder for each class."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.subject import Data
from tasks.errors import BadInput

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"})
CALIBRATION_SHARE = 0.2
SEED = 0


@dataclass(frozen=True)
class Sample:
    """One file and the index of its class. Read when asked for: sample sets may be larger than memory."""

    path: Path
    target: int

    @property
    def payload(self) -> bytes:
        return self.path.read_bytes()


def load_samples(folder: Path, labels: Sequence[str]) -> Data:
    """A fifth calibrates, the rest proves. Raises BadInput naming the folder that is missing, unknown or empty."""
    if not folder.is_dir():
        raise BadInput(f"sample folder {folder} does not exist; it must hold one folder of pictures for each label")
    found = {each.name: each for each in sorted(folder.iterdir()) if each.is_dir()}
    if unknown := sorted(set(found) - set(labels)):
        raise BadInput(f"{folder}: folders {', '.join(unknown)} are no labels of the model, which has {list(labels)}")
    samples = [
        Sample(path, labels.index(name))
        for name, each in found.items()
        for path in sorted(each.rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    if len(samples) < 2:
        raise BadInput(f"{folder} holds {len(samples)} pictures; calibrating and verifying need hundreds, two at least")
    shuffled = [samples[i] for i in np.random.default_rng(SEED).permutation(len(samples))]
    cut = max(1, round(len(shuffled) * CALIBRATION_SHARE))
    return Data(calibration=shuffled[:cut], held_out=shuffled[cut:])


def digest_samples(data: Data) -> str:
    """sha256 over every payload and target, in a fixed order."""
    total = hashlib.sha256()
    for part in (data.calibration, data.held_out):
        for index in range(len(part)):
            total.update(hashlib.sha256(part[index].payload).digest() + int(part[index].target).to_bytes(4, "little"))
    return total.hexdigest()
