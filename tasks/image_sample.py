"""How a picture, or a client's own tensor, becomes the sample of any image task."""

from __future__ import annotations

import numpy as np

from tasks.errors import BadInput
from tasks.image import MAX_PIXELS, ImageSpec, Placement, decode_image, place_image
from tasks.task import Array, Sample


def picture_sample(payload: bytes, spec: ImageSpec, max_pixels: int = MAX_PIXELS) -> Sample:
    """Untrusted encoded bytes → raw image. Raises BadInput or TooLarge."""
    decoded = decode_image(payload, spec, max_pixels)
    return Sample(decoded.pixels, place_image(decoded.original_height, decoded.original_width, spec))


def tensor_sample(array: Array, spec: ImageSpec) -> Sample:
    """The graph's own input, uint8 [height, width, 3] → a sample whose placement is the identity. Raises BadInput."""
    if array.shape != (spec.height, spec.width, 3) or array.dtype != np.uint8:
        raise BadInput(
            f"expected an image of uint8 [{spec.height}, {spec.width}, 3] (RGB), got {array.dtype} {list(array.shape)}"
        )
    return Sample(array, Placement(spec.height, spec.width, 1.0, 1.0, 0.0, 0.0), origin="tensor")
