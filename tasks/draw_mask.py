"""The picture that was asked about, with the regions found in it tinted and outlined."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks.canvas import finished_drawing, open_canvas
from tasks.label_grid import NOT_SEEN
from tasks.palette_png import PALETTE
from tasks.task import Picture

TINT = 0.5
"""How much of a pixel is the colour of its label."""
PIXELS_PER_LINE = 600
"""The longer side over the width of an outline, both in pixels."""
LINE = np.uint8(255)


def draw_mask(payload: bytes, mask: NDArray[np.uint8], plain_label: int | None, max_pixels: int) -> Picture:
    """Labels [height, width] of the original's size over the encoded picture → JPEG, shrunk where it is large.

    Labels have the colours of the palette PNG; `plain_label`, the background, has none. Outlines are white, and what
    the model has not seen is black. Raises BadInput or TooLarge for the picture."""
    photograph, _ = open_canvas(payload, max_pixels)
    labels = shrink(mask, photograph.height, photograph.width)
    colours = PALETTE[labels]
    colours[labels == NOT_SEEN] = 0
    tinted = Image.blend(photograph, Image.fromarray(colours), TINT)
    has_tint = labels != plain_label if plain_label is not None else np.ones(labels.shape, np.bool_)
    drawn = Image.composite(tinted, photograph, Image.fromarray(has_tint))
    drawn.paste((int(LINE),) * 3, mask=Image.fromarray(outlines(labels)))
    return finished_drawing(drawn)


def shrink(mask: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The label under the centre of each pixel of a smaller picture."""
    rows = ((np.arange(height) + 0.5) * (mask.shape[0] / height)).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * (mask.shape[1] / width)).astype(np.int64)
    smaller: NDArray[np.uint8] = mask[rows[:, None], columns]
    return smaller


def outlines(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where another label begins to the right or below, as many pixels away as an outline is wide."""
    reach = max(1, round(max(labels.shape) / PIXELS_PER_LINE))
    is_line = np.zeros(labels.shape, np.bool_)
    is_line[:, :-reach] = labels[:, :-reach] != labels[:, reach:]
    is_line[:-reach] |= labels[:-reach] != labels[reach:]
    return is_line
