"""How a picture, or a client's own tensor, becomes the input of a graph, whatever the task."""

from __future__ import annotations

import numpy as np

from tasks.errors import BadInput
from tasks.image import MAX_PIXELS, ImageSpec, Placement, decode_image, place_image, resize_image
from tasks.task import Array, Sample


class PictureInput:
    """The part of a Task that depends on nothing but the size of its pictures; by itself an Encoder. The graph's input
    is `image` UINT8 [height, width, 3]. Stateless and thread-safe."""

    def __init__(self, image: ImageSpec) -> None:
        self._image = image

    @property
    def image_spec(self) -> ImageSpec:
        return self._image

    def sample_from_bytes(self, payload: bytes, max_pixels: int = MAX_PIXELS) -> Sample:
        """Untrusted encoded bytes → raw image. Raises BadInput or TooLarge."""
        decoded = decode_image(payload, self._image, max_pixels)
        return Sample(decoded.pixels, place_image(decoded.original_height, decoded.original_width, self._image))

    def sample_from_tensor(self, array: Array) -> Sample:
        """The graph's own input → a sample whose placement is the identity. Raises BadInput."""
        height, width = self._image.height, self._image.width
        if array.shape != (height, width, 3) or array.dtype != np.uint8:
            raise BadInput(
                f"expected an image of uint8 [{height}, {width}, 3] (RGB), got {array.dtype} {list(array.shape)}"
            )
        return Sample(array, Placement(height, width, 1.0, 1.0, 0.0, 0.0), origin="tensor")

    def preprocess(self, sample: Sample) -> dict[str, Array]:
        return {"image": resize_image(sample.image, sample.placement, self._image)}
