"""Boxes as files give them, checked against their picture."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

from tasks.errors import BadInput

EDGE_TOLERANCE = 1.0
"""Pixels that a box may reach beyond the picture: what rounding and counting from one do. It is clipped to the edge."""


class Box(NamedTuple):
    """Edges in pixels: pixel i covers [i, i + 1), so a whole picture is (0, 0, width, height)."""

    left: float
    top: float
    right: float
    bottom: float


def check_box(edges: Sequence[float], height: int, width: int) -> Box:
    """Left, top, right, bottom → a box inside the picture and with an area.

    Up to EDGE_TOLERANCE beyond the picture are cut off. Raises BadInput for boxes that are further out, empty, inside
    out or not finite."""
    box = Box(*edges)
    shown = ", ".join(f"{edge:g}" for edge in box)
    if not all(isfinite(edge) for edge in box):
        raise BadInput(f"box ({shown}) is not made of finite numbers")
    if box.right <= box.left or box.bottom <= box.top:
        raise BadInput(
            f"box ({shown}) has no area: its width is {box.right - box.left:g}, "
            f"its height {box.bottom - box.top:g} pixels"
        )
    beyond = max(-box.left, -box.top, box.right - width, box.bottom - height)
    clipped = Box(max(box.left, 0.0), max(box.top, 0.0), min(box.right, float(width)), min(box.bottom, float(height)))
    if beyond > EDGE_TOLERANCE or clipped.right <= clipped.left or clipped.bottom <= clipped.top:
        raise BadInput(f"box ({shown}) lies outside the picture of {width}×{height} pixels by {beyond:g} pixels")
    return clipped
