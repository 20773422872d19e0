"""The trained network: what every exported graph is held to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from export.generative.speaker import Logits
from registry.decoder_interface import EMBEDDING, FEATURES
from tasks.generation import Prompt
from tasks.task import Array
from training.networks.language_network import LanguageNetwork


class TorchSpeaker:
    """See Speaker. It has no cache: it reads everything again, and can make no mistake with one."""

    def __init__(self, network: LanguageNetwork, encoder: nn.Module | None) -> None:
        """Both in evaluation mode. `encoder`: image uint8 [B, H, W, 3] → (features, embedding)."""
        self._network, self._encoder = network, encoder

    @torch.inference_mode()
    def encode(self, tensors: dict[str, Array]) -> dict[str, Array]:
        assert self._encoder is not None
        features, embedding = self._encoder(torch.tensor(tensors["image"])[None])
        return {FEATURES: features[0].numpy(), EMBEDDING: embedding[0].numpy()}

    @torch.inference_mode()
    def expect(self, prompt: Prompt, answer: Sequence[int]) -> Logits:
        tokens = torch.tensor([[*prompt.tokens, *answer[:-1]]])
        features = None if prompt.features is None else torch.tensor(prompt.features)[None]
        logits: Logits = self._network(tokens, features)[0, len(prompt.tokens) - 1 :].float().numpy()
        return logits
