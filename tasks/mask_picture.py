"""Label masks as pictures that somebody sends: untrusted PNG → a label for every pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.errors import BadInput
from tasks.image import MAX_PIXELS, blaming_the_file, read_header, refuse_excess

MODES = {"P", "L", "1"}
"""Palette, grey, black and white: one value a pixel."""


def decode_mask(payload: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """A palette or grey PNG of up to 8 bits → its values, uint8 [height, width]. Raises BadInput or TooLarge."""
    with blaming_the_file("the mask cannot be read"):
        picture = read_header(payload)
    refuse_excess(picture, payload, max_pixels)
    if picture.format != "PNG" or picture.mode not in MODES:
        raise BadInput(
            f"the mask is a {picture.format} of mode {picture.mode}; send a PNG with one value of up to 8 bits a "
            "pixel, its class (grey or palette, no alpha)"
        )
    with blaming_the_file("the mask is damaged or cut short"):
        picture.load()
        return np.asarray(picture).astype(np.uint8)
