"""A detector: what every architecture that finds objects offers to training, evaluation and export alike."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from training.networks.network import Network

PADDING, CROWD = -1, -2
"""Class ids in targets: no object at all; and a region that is neither right nor wrong to detect in."""


class Detector(Network):
    """image [B, H, W, 3], uint8 or float of 0…255 → (boxes FP32 [B, K, 4], scores FP32 [B, K, C], embedding [B, D]).

    Candidates before suppression: K is fixed by the options, boxes are (left, top, right, bottom) in input pixels,
    scores lie in 0…1, and candidates are sorted by their best score. Only operations that export to ONNX.
    """

    output_names: ClassVar[tuple[str, ...]] = ("boxes", "scores", "embedding")

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        raise NotImplementedError

    def guess(self, maps: list[Tensor]) -> Any:
        """All that it says of pictures whose `features` these are, before candidates are chosen, for `losses`: a
        DenseGuess where another detector can learn from it. The maps themselves, unless an architecture says more."""
        return maps

    def losses(self, guess: Any, boxes: Tensor, class_ids: Tensor) -> dict[str, Tensor]:
        """What training minimises the sum of, by name, for pictures with this `guess`. Targets are padded to the
        largest count M of the batch: boxes FP32 [B, M, 4] in input pixels, class_ids int64 [B, M] with PADDING and
        CROWD."""
        raise NotImplementedError

    def propose(self, guess: Any) -> Tensor | None:
        """The boxes [B, K, 4] that it looks at again; None where one look is all."""
        return None

    def look_again(self, guess: Any, proposals: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits [B, K, C] and corrected boxes [B, K, 4] of proposals; only of detectors that `propose`."""
        raise NotImplementedError
