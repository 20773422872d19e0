"""Feedback on segmentations: a mask of the right classes."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from serving.feedback.class_names import ClassNames
from serving.feedback.given import ClassId, ClassName, Feedback
from serving.feedback.verdict import Cell, Verdict
from serving.json_fields import read_json
from tasks.errors import BadInput, TooLarge, Unsupported
from tasks.label_grid import NOT_SEEN, original_grid
from tasks.mask_picture import decode_mask
from tasks.placement import Placement
from tasks.rle import Rle, decode_labels
from tasks.task import Array, Prediction, Sample

PIXELS = "pixels"
INTERSECTION, UNION = "intersection", "union"
FAST = 1
BLOCK_SIZE = 1 << 20
"""Pixels that are counted at once: counting takes eight bytes for each."""


class SmallMask(NamedTuple):
    """The model's own mask, compressed, and how it lies over the original: a few hundred bytes to some kilobytes."""

    packed: bytes
    shape: tuple[int, int]
    placement: Placement

    def pixels(self) -> NDArray[np.uint8]:
        """[height, width] of the original."""
        mask = np.frombuffer(zlib.decompress(self.packed), np.uint8).reshape(self.shape)
        return original_grid(mask, self.placement).pixels()


class WholeMask(NamedTuple):
    """One that came back with its feedback, [height, width]."""

    labels: NDArray[np.uint8]

    def pixels(self) -> NDArray[np.uint8]:
        return self.labels


class GivenSegment(msgspec.Struct, frozen=True):
    """Its class by index, or else by name."""

    class_id: ClassId | None = None
    label: ClassName | None = None
    rle: Rle | None = None


class GivenMask(msgspec.Struct, frozen=True):
    """Run lengths of every class, or one PNG."""

    segments: tuple[GivenSegment, ...] = ()
    png: bytes | None = None


class SegmentationJudge:
    """What is remembered is the model's own mask, from which the answer of the original's size follows exactly."""

    takes: ClassVar[tuple[str, ...]] = ("mask",)

    def __init__(self, labels: Sequence[str], max_pixels: int) -> None:
        self._names, self._max_pixels = ClassNames(labels), max_pixels

    def recall(self, outputs: Mapping[str, Array], sample: Sample, prediction: Prediction) -> SmallMask:
        mask = outputs["mask"]
        height, width = mask.shape
        # Long runs are all there is to gain, and looking for nothing else is several times faster.
        packer = zlib.compressobj(FAST, strategy=zlib.Z_RLE)
        packed = packer.compress(mask.tobytes()) + packer.flush()
        return SmallMask(packed, (height, width), sample.placement)

    def recall_rows(self, outputs: Mapping[str, Array]) -> Sequence[SmallMask]:
        """Nothing: of a tensor no original is known."""
        return ()

    def recall_given(self, prediction: bytes) -> WholeMask:
        wanted = (
            'prediction must be what was answered, like {"segments": [{"class_id": 1, "rle": {…}}]} or {"png": "…"}'
        )
        given = read_json(prediction, GivenMask, wanted)
        if given.png is not None:
            return WholeMask(decode_mask(given.png, self._max_pixels))
        regions: dict[int, Rle] = {}
        for one in given.segments:
            if one.rle is None:
                raise Unsupported("only run lengths and PNG can be judged; send a prediction of one of these formats")
            regions[self._names.find(one.class_id if one.class_id is not None else one.label or "")] = one.rle
        if not regions:
            raise BadInput(f"{wanted}: there is no segment")
        height, width = next(iter(regions.values())).size
        if height * width > self._max_pixels:
            raise TooLarge(f"the prediction has {width}×{height} pixels; at most {self._max_pixels} are accepted")
        return WholeMask(decode_labels(regions))

    def judge(self, said: object, feedback: Feedback) -> Verdict:
        """Counts pixels by class. Those that the mask gives 255 do not count; those that the model never saw, and the
        mask has a class for, are in the union of that class alone."""
        assert isinstance(said, SmallMask | WholeMask)
        assert feedback.mask is not None
        true, answered = decode_mask(feedback.mask, self._max_pixels), said.pixels()
        if true.shape != answered.shape:
            sizes = f"{true.shape[1]}×{true.shape[0]} pixels, the picture {answered.shape[1]}×{answered.shape[0]}"
            raise BadInput(f"the mask has {sizes}; send one of the upright picture's size")
        labels = self._names.labels
        pairs = count_pairs(true, answered)
        if strange := np.flatnonzero(pairs[len(labels) : NOT_SEEN].sum(axis=1)).tolist():
            raise BadInput(
                f"the mask has the value {strange[0] + len(labels)}; with these labels it may have 0 to "
                f"{len(labels) - 1}, or {NOT_SEEN} for what does not count"
            )
        judged = pairs[:NOT_SEEN]
        shared = judged.diagonal()
        union = judged.sum(axis=1) + judged.sum(axis=0)[:NOT_SEEN] - shared
        counts: dict[Cell, float] = {}
        ious: dict[str, float] = {}
        for class_id in np.flatnonzero(union[: len(labels)]).tolist():
            counts[Cell(PIXELS, labels[class_id], INTERSECTION)] = float(shared[class_id])
            counts[Cell(PIXELS, labels[class_id], UNION)] = float(union[class_id])
            ious[labels[class_id]] = float(shared[class_id] / union[class_id])
        return Verdict({"iou": ious}, {}, counts, mask=feedback.mask)


def count_pairs(true: NDArray[np.uint8], answered: NDArray[np.uint8]) -> NDArray[np.int64]:
    """[256, 256]: pixels by true value and answered one."""
    true, answered = true.ravel(), np.ascontiguousarray(answered).ravel()
    pairs = np.zeros(1 << 16, np.int64)
    for start in range(0, len(true), BLOCK_SIZE):
        block = slice(start, start + BLOCK_SIZE)
        pairs += np.bincount(true[block].astype(np.uint16) << 8 | answered[block], minlength=1 << 16)
    return pairs.reshape(256, 256)
