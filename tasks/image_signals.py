"""What monitoring watches of any picture, whatever the task: its light, its sharpness, its shape, its embedding."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tasks.image import ImageArray
from tasks.task import Array, Sample, Scalar, SignalSpec

NUM_PROJECTIONS = 4
PROJECTION_SEED = 20_240_229
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

IMAGE_SIGNALS: Mapping[str, SignalSpec] = {
    name: SignalSpec(kind="scalar") for name in ("brightness", "contrast", "sharpness", "aspect_ratio", "width")
}
EMBEDDING_SIGNALS: Mapping[str, SignalSpec] = {
    f"embedding_{i}": SignalSpec(kind="scalar") for i in range(NUM_PROJECTIONS)
}


def image_signals(sample: Sample, image: ImageArray) -> dict[str, Scalar]:
    """Signals of one picture. `image` is the model's own input, uint8 [height, width, 3]: a fixed size, so that
    sharpness means the same whatever the resolution of the camera. The shape is left out for tensors: it is ours."""
    grey = image @ LUMA
    laplacian = grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4 * grey[1:-1, 1:-1]
    signals = {
        "brightness": Scalar(float(grey.mean())),
        "contrast": Scalar(float(grey.std())),
        "sharpness": Scalar(float(np.log1p(laplacian.var())) if laplacian.size else 0.0),
    }
    if sample.origin == "tensor":
        return signals
    placement = sample.placement
    return signals | {
        "aspect_ratio": Scalar(float(np.log(placement.original_width / placement.original_height))),
        "width": Scalar(float(placement.original_width)),
    }


@lru_cache(maxsize=16)
def projection_matrix(dimension: int) -> NDArray[np.float32]:
    """Fixed unit directions [dimension, NUM_PROJECTIONS] of random signs (Achlioptas, 2003), the same on every host and
    in every release. Made from raw bits, because numpy promises a stable stream for those and not for its
    distributions: a reference profile must outlive an upgrade."""
    words = np.random.PCG64(PROJECTION_SEED).random_raw(dimension)
    bits = (words[:, np.newaxis] >> np.arange(NUM_PROJECTIONS, dtype=np.uint64)) & np.uint64(1)
    matrix: NDArray[np.float32] = ((2.0 * bits - 1.0) / np.sqrt(dimension)).astype(np.float32)
    return matrix


def embedding_signals(embedding: Array) -> dict[str, Scalar]:
    """A fixed random projection of the embedding [dimension]: few numbers, yet moved by most shifts."""
    projected = embedding.astype(np.float32).ravel() @ projection_matrix(embedding.size)
    return {f"embedding_{i}": Scalar(float(value)) for i, value in enumerate(projected)}
