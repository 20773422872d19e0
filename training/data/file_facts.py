"""What can be known of picture and mask files before training: that they can be read, and their size.

Every file is decoded once, by all cores; the answers are kept for as long as no file's size or time changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks.errors import BadInput
from tasks.image import MAX_PIXELS, ImageSpec, decode_image
from training.data.cache import cache_key, cached_folder
from training.data.problems import Problems
from training.progress import track

FACTS_VERSION = 1
SMALL = ImageSpec(height=32, width=32)
"""A JPEG decoded to no more than this is read to its end at a fraction of the cost."""
MASK_MODES = ("L", "P", "1")


class PictureFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size of the upright picture in pixels, or what is wrong with the file."""

    height: int = 0
    width: int = 0
    complaint: str = ""


class MaskFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size of a mask in pixels and the values that occur in it, or what is wrong with the file."""

    height: int = 0
    width: int = 0
    values: tuple[int, ...] = ()
    complaint: str = ""


Facts = TypeVar("Facts", PictureFacts, MaskFacts)


def measure_pictures(paths: Sequence[Path], problems: Problems) -> list[PictureFacts]:
    """Facts of every picture, in order. What is wrong with the files is added to `problems`."""
    return report_facts(recall_facts("checking pictures", paths, measure_picture, PictureFacts), paths, problems)


def measure_masks(paths: Sequence[Path], problems: Problems) -> list[MaskFacts]:
    """Facts of every mask, in order. What is wrong with the files is added to `problems`."""
    return report_facts(recall_facts("checking masks", paths, measure_mask, MaskFacts), paths, problems)


def report_facts(facts: list[Facts], paths: Sequence[Path], problems: Problems) -> list[Facts]:
    """Adds every complaint to `problems`."""
    for path, fact in zip(paths, facts, strict=True):
        if fact.complaint:
            problems.add(path, fact.complaint)
    return facts


def recall_facts(
    description: str, paths: Sequence[Path], measure: Callable[[Path], Facts], kind: type[Facts]
) -> list[Facts]:
    """What `measure` found when these very files were first seen."""

    def build(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            facts = list(track(pool.map(measure, paths), description, len(paths)))
        (folder / "partial.json").write_bytes(msgspec.json.encode(facts))
        (folder / "partial.json").rename(folder / "facts.json")

    key = cache_key(FACTS_VERSION, description, [file_stamp(path) for path in paths])
    folder = cached_folder("facts", key, "facts.json", build)
    return msgspec.json.decode((folder / "facts.json").read_bytes(), type=list[kind])  # type: ignore[valid-type]


def file_stamp(path: Path) -> tuple[str, int, int]:
    """Changes whenever the file does."""
    try:
        status = path.stat()
    except OSError:
        return str(path.absolute()), -1, -1
    return str(path.absolute()), status.st_size, status.st_mtime_ns


def measure_picture(path: Path) -> PictureFacts:
    """Decodes a picture to its end."""
    try:
        decoded = decode_image(path.read_bytes(), SMALL)
    except OSError as error:
        return PictureFacts(complaint=f"the picture cannot be opened ({error.strerror})")
    except BadInput as error:
        return PictureFacts(complaint=str(error))
    return PictureFacts(decoded.original_height, decoded.original_width)


def measure_mask(path: Path) -> MaskFacts:
    """Decodes a mask."""
    try:
        mask = read_mask(path)
    except BadInput as error:
        return MaskFacts(complaint=str(error))
    counts = np.bincount(mask.ravel(), minlength=256)
    height, width = mask.shape
    return MaskFacts(height, width, tuple(np.flatnonzero(counts).tolist()))


def read_mask(path: Path) -> NDArray[np.uint8]:
    """The indices in a PNG of one channel, grey or palette: uint8 [height, width]. Raises BadInput."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            if picture.mode not in MASK_MODES or picture.width * picture.height > MAX_PIXELS:
                raise BadInput(
                    f"the mask has {picture.width}×{picture.height} pixels of mode {picture.mode}; it must be a PNG of "
                    f"one channel of up to 8 bits (mode {' or '.join(MASK_MODES)}) and at most {MAX_PIXELS} pixels"
                )
            return np.array(picture, np.uint8)
    except OSError as error:
        raise BadInput(f"the mask cannot be read ({error.strerror or 'not a whole PNG'})") from error
    except (ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput("the mask cannot be read (a damaged PNG)") from error
