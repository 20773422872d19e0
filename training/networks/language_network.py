"""A network that continues text, perhaps after what an encoder made of a picture."""

from __future__ import annotations

from torch import Tensor, nn


class LanguageNetwork(nn.Module):
    """tokens INT64 [B, S] → logits FP32 [B, S, vocabulary] of what comes after each.

    An architecture implements `forward`. `features` FP32 [B, P, width] stand before the tokens, where the architecture
    can attend to them; they get no logits.
    """

    vocabulary: int
    width: int

    def forward(self, tokens: Tensor, features: Tensor | None = None) -> Tensor:
        raise NotImplementedError
