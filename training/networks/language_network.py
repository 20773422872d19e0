"""A network that continues text, perhaps after what an encoder made of a picture."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from training.networks.network import Trainable


class LanguageNetwork(Trainable):
    """tokens INT64 [B, S] → logits FP32 [B, S, vocabulary] of what comes after each.

    An architecture implements `forward`. `features` FP32 [B, P, width] stand before the tokens, where the architecture
    can attend to them; they get no logits.
    """

    output_names: ClassVar[tuple[str, ...]] = ("logits",)
    # All of it: learning goes on where it ended, with other texts.
    warm_trunk: ClassVar[tuple[str, ...]] = ("",)
    vocabulary: int
    width: int

    def forward(self, tokens: Tensor, features: Tensor | None = None) -> Tensor:
        raise NotImplementedError
