"""Steps that change networks, each done once however many variants begin with it."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import msgspec

from export.compress.learning import Learning
from export.compress.steps import name_of
from export.compress.technique import NetworkTechnique
from training.networks.network import Trainable
from training.progress import pulse


class NetworkSteps:
    """Compressed forms of one trained network."""

    def __init__(self, learning: Learning) -> None:
        self._learning = learning
        self._made: dict[bytes, Trainable] = {}

    def compress(self, steps: Sequence[NetworkTechnique]) -> Trainable:
        """The network after all steps, in evaluation mode; what other variants may still need is not changed."""
        if not steps:
            return self._learning.trained
        key = msgspec.json.encode(tuple(steps))
        if key not in self._made:
            before = copy.deepcopy(self.compress(steps[:-1]))
            with pulse(f"compressing: {name_of(steps[-1])}"):
                self._made[key] = steps[-1].compress(before, self._learning).eval()
        return self._made[key]
