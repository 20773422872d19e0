"""Annotated sample pictures of an imported model: what it is calibrated with, and what proves its variants.

Classification: a folder with one folder of pictures for each label. Detection: a folder with one instances file as
COCO writes it (*.json), its pictures beside it or in images/. Segmentation: images/ and, of the same names, masks/ of
PNGs whose values are indices into the model's labels, 255 where nobody is to judge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.import_facts import TaskName
from export.subject import Data
from tasks.errors import BadInput
from training.data.annotation import Annotation
from training.data.coco import open_coco
from training.data.config import CocoConfig, CocoPart, MaskFolderConfig
from training.data.file_split import PICTURE_SUFFIXES
from training.data.mask_folder import open_mask_folder
from training.data.source import AnnotatedSplitSource, Example, Split

SEED = 0
CALIBRATION_SHARE = 0.2
SPARE_SHARE = 0.1
PROVING_SHARE = 0.7
"""Annotated pictures are cut in three: the spare ones only widen the profile."""


@dataclass(frozen=True)
class ClassPicture:
    """One file and the index of its class. Read when asked for: sample sets may be larger than memory."""

    path: Path
    target: int

    @property
    def payload(self) -> bytes:
        return self.path.read_bytes()


@dataclass(frozen=True)
class AnnotatedPicture:
    """One of a split. `class_ids`: the split's classes → those of the model, None where they are the same."""

    split: Split
    index: int
    class_ids: NDArray[np.int64] | None

    @property
    def payload(self) -> bytes:
        return self.split[self.index].payload

    @property
    def target(self) -> Annotation:
        found = self.split.targets[self.index]
        assert isinstance(found, Annotation)
        return found if self.class_ids is None else replace(found, class_ids=self.class_ids[found.class_ids])


def load_classes(folder: Path, labels: Sequence[str]) -> Data:
    """A fifth calibrates, the rest proves. Raises BadInput naming the folder that is missing, unknown or empty."""
    if not folder.is_dir():
        raise BadInput(f"sample folder {folder} does not exist; it must hold one folder of pictures for each label")
    found = {each.name: each for each in sorted(folder.iterdir()) if each.is_dir()}
    if unknown := sorted(set(found) - set(labels)):
        raise BadInput(f"{folder}: folders {', '.join(unknown)} are no labels of the model, which has {list(labels)}")
    samples = [
        ClassPicture(path, labels.index(name))
        for name, each in found.items()
        for path in sorted(each.rglob("*"))
        if path.suffix.lower() in PICTURE_SUFFIXES
    ]
    if len(samples) < 2:
        raise BadInput(f"{folder} holds {len(samples)} pictures; calibrating and verifying need hundreds, two at least")
    shuffled = [samples[i] for i in np.random.default_rng(SEED).permutation(len(samples))]
    cut = max(1, round(len(shuffled) * CALIBRATION_SHARE))
    return Data(calibration=shuffled[:cut], held_out=shuffled[cut:])


def load_instances(folder: Path, labels: Sequence[str]) -> Data:
    """Categories are found among the model's labels by their names. Raises BadInput or NotFound with all that is
    missing, unknown or broken."""
    files = sorted(folder.glob("*.json"))
    if len(files) != 1:
        raise BadInput(f"{folder} holds {len(files)} .json files; it must hold one, of COCO instances")
    part = CocoPart(instances=files[0].name, pictures="images" if (folder / "images").is_dir() else "")
    source = open_coco(
        CocoConfig(
            path=str(folder), train=part, seed=SEED, validation_fraction=SPARE_SHARE, test_fraction=PROVING_SHARE
        )
    )
    if unknown := sorted(set(source.labels) - set(labels)):
        raise BadInput(f"{files[0]}: categories {', '.join(unknown)} are no labels of the model: {list(labels)}")
    return annotated_data(source, np.array([labels.index(name) for name in source.labels], np.int64))


def load_masks(folder: Path, labels: Sequence[str]) -> Data:
    """Raises BadInput or NotFound with all that is missing or broken."""
    config = MaskFolderConfig(
        path=str(folder),
        labels=tuple(labels),
        seed=SEED,
        validation_fraction=SPARE_SHARE,
        test_fraction=PROVING_SHARE,
    )
    return annotated_data(open_mask_folder(config), None)


def annotated_data(source: AnnotatedSplitSource, class_ids: NDArray[np.int64] | None) -> Data:
    """Every split of a source by its use."""

    def pictures(split: Split) -> list[AnnotatedPicture]:
        return [AnnotatedPicture(split, index, class_ids) for index in range(len(split))]

    train, spare, held_out = (pictures(source.split(name)) for name in ("train", "validation", "test"))
    return Data(calibration=train, held_out=held_out, spare=spare)


def digest_samples(data: Data) -> str:
    """sha256 over every payload and target, in a fixed order."""
    total = hashlib.sha256()
    for part in (data.calibration, data.held_out, data.spare):
        for index in range(len(part)):
            example: Any = part[index]
            total.update(Example(example.payload, example.target).fingerprint)
    return total.hexdigest()


LOADERS: Mapping[TaskName, Callable[[Path, Sequence[str]], Data]] = {
    "classification": load_classes,
    "detection": load_instances,
    "segmentation": load_masks,
}
"""Task → how its samples are read from a folder, for a model of these labels."""
