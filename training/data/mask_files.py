"""Mask files checked against the pictures that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.data.annotation import IGNORED
from training.data.file_facts import MaskFacts, PictureFacts, measure_masks
from training.data.problems import Problems


def complain_of_masks(
    paths: Sequence[Path], pictures: Sequence[PictureFacts], num_labels: int, problems: Problems
) -> None:
    """Adds every mask that cannot be read, has another size than its (upright) picture, or a value that is neither one
    of `num_labels` nor IGNORED."""
    for path, picture, mask in zip(paths, pictures, measure_masks(paths, problems), strict=True):
        complaint = "" if mask.complaint else find_complaint(mask, picture, num_labels)
        if complaint:
            problems.add(path, complaint)


def find_complaint(mask: MaskFacts, picture: PictureFacts, num_labels: int) -> str:
    """What is wrong with a mask that can be read; empty where nothing is."""
    if not picture.complaint and (mask.height, mask.width) != (picture.height, picture.width):
        sizes = f"{mask.width}×{mask.height} pixels, its upright picture {picture.width}×{picture.height}"
        return f"the mask has {sizes}"
    strange = [value for value in mask.values if value >= num_labels and value != IGNORED]
    if strange:
        allowed = f"0 to {num_labels - 1}, or {IGNORED} for what is to be ignored"
        return f"the mask has the values {', '.join(map(str, strange[:10]))}; with these labels it may have {allowed}"
    return ""
