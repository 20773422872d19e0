"""Class indices as tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.image import Placement
from training.data.source import Target


class ClassTargets:
    """A class index → int64 [B]."""

    version = "class-1"

    def encode(self, target: Target, placement: Placement) -> NDArray[np.int64]:
        assert isinstance(target, int)
        return np.array([target], np.int64)

    def collate(self, encoded: Sequence[NDArray[np.int64]]) -> tuple[Tensor, ...]:
        return (torch.from_numpy(np.concatenate(encoded)),)
