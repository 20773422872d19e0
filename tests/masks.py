"""Small label masks for property tests: blocks and noise, any size from one pixel on."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray


@st.composite
def masks(draw: st.DrawFn, max_side: int = 12, num_labels: int = 4) -> NDArray[np.uint8]:
    """Labels below `num_labels`, uint8 [1 to max_side, 1 to max_side]."""
    height, width = draw(st.integers(1, max_side)), draw(st.integers(1, max_side))
    seed, block = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 4))
    labels = np.random.default_rng(seed).integers(0, draw(st.integers(1, num_labels)), (max_side, max_side))
    return np.kron(labels, np.ones((block, block)))[:height, :width].astype(np.uint8)
