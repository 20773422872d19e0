"""Folders of annotated pictures as users bring them: COCO instances, and images beside masks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = ((220, 40, 40), (40, 200, 60), (50, 70, 230))


def paint(seed: int, num_classes: int = 3) -> tuple[np.ndarray, np.ndarray, list[tuple[int, list[int]]]]:
    """A noisy picture uint8 [60, 80, 3] with one to three rectangles in the colour of their class, its mask of class
    indices, and class and (left, top, width, height) of each. Where nothing lies on top there is class 0."""
    rng = np.random.default_rng(seed)
    pixels, mask = rng.integers(60, 120, (60, 80, 3)), np.zeros((60, 80), np.uint8)
    objects = []
    for _ in range(int(rng.integers(1, 4))):
        class_id = int(rng.integers(0, num_classes))
        width, height = (int(side) for side in rng.integers(12, 30, 2))
        left, top = int(rng.integers(0, 80 - width)), int(rng.integers(0, 60 - height))
        region = np.s_[top : top + height, left : left + width]
        pixels[region], mask[region] = COLOURS[class_id] + rng.integers(-20, 20, (height, width, 3)), class_id
        objects.append((class_id, [left, top, width, height]))
    return np.clip(pixels, 0, 255).astype(np.uint8), mask, objects


def write_instances(folder: Path, labels: Sequence[str], count: int) -> Path:
    """instances.json and images/. Category ids are not those of the model: names count."""
    (folder / "images").mkdir(parents=True)
    ids = {name: 10 * (len(labels) - index) for index, name in enumerate(labels)}
    pictures, annotations = [], []
    for number in range(count):
        pixels, _, objects = paint(number)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        pictures.append({"id": number, "file_name": f"{number}.png", "height": 60, "width": 80})
        for class_id, box in objects:
            found = {"image_id": number, "category_id": ids[labels[class_id]], "bbox": box, "iscrowd": 0}
            annotations.append({"id": len(annotations), "area": box[2] * box[3], **found})
    categories = [{"id": key, "name": name} for name, key in ids.items()]
    document = {"images": pictures, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(document))
    return folder


def write_masks(folder: Path, count: int) -> Path:
    """images/ and masks/."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        pixels, mask, _ = paint(number)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return folder
