"""The classifier that every app serves: ONNX Runtime on one thread, Pillow before it.

Decoding is what a careful user writes: `draft` lets libjpeg leave out what the model will not see, most of the cost
of the whole picture. Ours does the same, so that servers are compared and not decoders.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pictures = NDArray[np.uint8]
Logits = NDArray[np.float32]
TOP_K = 5
JPEG_START = b"\xff\xd8\xff"


class Classifier:
    """`image` uint8 [batch, size, size, 3] → `logits` float32 [batch, classes]."""

    def __init__(self, graph: Path, size: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self.size = size

    def logits(self, images: Pictures) -> Logits:
        logits: Logits = self._session.run(["logits"], {"image": images})[0]
        return logits

    def decode(self, payload: bytes) -> Pictures:
        """JPEG → uint8 [size, size, 3], the shorter side scaled to fit and the centre kept."""
        return fitted(Image.open(io.BytesIO(payload)), self.size)

    def read(self, payload: bytes) -> Pictures:
        """A JPEG, or the bytes of a tensor that needs no decoding → uint8 [size, size, 3]."""
        if payload.startswith(JPEG_START):
            return self.decode(payload)
        return np.frombuffer(payload, np.uint8).reshape(self.size, self.size, 3)


def fitted(picture: Image.Image, size: int) -> Pictures:
    """An opened picture, not decoded yet → uint8 [size, size, 3]."""
    scale = size / min(picture.size)
    picture.draft("RGB", (round(picture.width * scale), round(picture.height * scale)))
    return np.asarray(ImageOps.fit(picture.convert("RGB"), (size, size), Image.Resampling.BILINEAR))


def top_classes(logits: Logits) -> dict[str, Any]:
    """One picture's logits [classes] → its best classes and their probabilities, as JSON can hold them."""
    best = np.argsort(-logits)[:TOP_K]
    weights = np.exp(logits - logits.max())
    return {"class_ids": best.tolist(), "scores": (weights[best] / weights.sum()).tolist()}
