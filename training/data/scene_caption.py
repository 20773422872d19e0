"""One English sentence about a scene, by a small grammar: how many objects, what is where, which is the largest.

The same objects always get the same sentence, so that a caption can be learnt and checked word by word.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")
LARGER = 1.2
"""An object is called the largest where its height is at least this many times that of every other."""


def describe_objects(labels: Sequence[str], boxes: NDArray[np.float32], height: int, width: int) -> str:
    """`labels`: digits, at most six; `boxes` float32 [N, 4] as (left, top, right, bottom). Top rows first, each from
    left to right: "two digits: a 3 at the top left and an 8 in the middle; the 8 is larger"."""
    cells = [cell_of(box, height, width) for box in boxes]
    order = sorted(range(len(labels)), key=lambda i: (cells[i][0], boxes[i][0] + boxes[i][2], *boxes[i], labels[i]))
    phrases = [f"{article(labels[i])} {labels[i]} {place_name(*cells[i])}" for i in order]
    noun = "digit" if len(labels) == 1 else "digits"
    counted = f"{NUMBERS[len(labels)]} {noun}: {join_phrases(phrases)}"
    heights = boxes[:, 3] - boxes[:, 1]
    largest = int(heights.argmax())
    if len(labels) == 1 or heights[largest] < LARGER * np.delete(heights, largest).max():
        return counted
    # A label that occurs twice does not tell which one is meant; where it is may.
    name = labels[largest] if labels.count(labels[largest]) == 1 else f"one {place_name(*cells[largest])}"
    return f"{counted}; the {name} is {'larger' if len(labels) == 2 else 'the largest'}"


def cell_of(box: NDArray[np.float32], height: int, width: int) -> tuple[int, int]:
    """Row and column, each 0…2, of the third of the picture that a box's centre lies in."""
    row = int((box[1] + box[3]) / 2 * 3 / height)
    column = int((box[0] + box[2]) / 2 * 3 / width)
    return min(row, 2), min(column, 2)


def place_name(row: int, column: int) -> str:
    """A cell in words: "in the middle", "at the left", "at the top right"."""
    words = [word for word, index in ((ROWS[row], row), (COLUMNS[column], column)) if index != 1]
    return f"at the {' '.join(words)}" if words else "in the middle"


def join_phrases(phrases: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join((", ".join(phrases[:-1]), phrases[-1])) if len(phrases) > 1 else phrases[0]


def article(label: str) -> str:
    """As the word is spoken: an 8, a 3."""
    return "an" if label == "8" else "a"
