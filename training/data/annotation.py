"""What is known about one picture beyond a single class: its objects, its mask, a sentence about it."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

IGNORED = 255
"""In a mask: a pixel that belongs to no class, and that nobody is judged by."""


class Record(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An annotation as it is stored: arrays as their little-endian bytes, packed by MessagePack."""

    boxes: bytes
    class_ids: bytes
    crowd: bytes
    encoded_mask: bytes
    caption: str


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """Everything in pixels of the upright picture, as `tasks.image.decode_image` shows it.

    `boxes` float32 [N, 4] as (left, top, right, bottom), `class_ids` int64 [N] into the labels of the source, `crowd`
    bool [N]: such a box covers many objects of its class, and detections inside it are neither right nor wrong.
    `encoded_mask`: a PNG of uint8 [height, width], each pixel an index into the mask labels of the source, or IGNORED;
    empty where the data has no masks. `caption`: what may be said of the picture, each on a line of its own; empty
    where nothing is known.
    """

    boxes: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    encoded_mask: bytes = b""
    caption: str = ""

    @property
    def captions(self) -> tuple[str, ...]:
        """Sentences that are equally good."""
        return tuple(self.caption.splitlines())

    def mask(self) -> NDArray[np.uint8]:
        """uint8 [height, width]. To be asked only of data that has masks."""
        with Image.open(io.BytesIO(self.encoded_mask), formats=("PNG",)) as picture:
            return np.array(picture, np.uint8)

    def encode(self) -> bytes:
        """The same annotation, the same bytes: digests and equality are made of them."""
        record = Record(
            boxes=self.boxes.astype("<f4").tobytes(),
            class_ids=self.class_ids.astype("<i8").tobytes(),
            crowd=self.crowd.astype(np.bool_).tobytes(),
            encoded_mask=self.encoded_mask,
            caption=self.caption,
        )
        return msgspec.msgpack.encode(record)

    @classmethod
    def decode(cls, encoded: bytes) -> Annotation:
        """What `encode` made."""
        record = msgspec.msgpack.decode(encoded, type=Record)
        return cls(
            np.frombuffer(record.boxes, "<f4").reshape(-1, 4),
            np.frombuffer(record.class_ids, "<i8"),
            np.frombuffer(record.crowd, np.bool_),
            record.encoded_mask,
            record.caption,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Annotation) and self.encode() == other.encode()

    def __hash__(self) -> int:
        return hash(self.encode())


def join_captions(captions: Iterable[str]) -> str:
    """Several sentences as one `Annotation.caption`. Raises ValueError where one is more than a line."""
    sentences = tuple(captions)
    if any(len(sentence.splitlines()) != 1 for sentence in sentences):
        raise ValueError(f"a caption must be one line: {sentences}")
    return "\n".join(sentences)
