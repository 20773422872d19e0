"""A classifier: a backbone and one linear layer."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from training.networks.network import Network, Trunk


class Classifier(Network):
    """image [B, H, W, 3], uint8 or float of 0…255 → (logits FP32 [B, C], embedding FP32 [B, D])."""

    output_names: ClassVar[tuple[str, ...]] = ("logits", "embedding")

    def __init__(self, trunk: Trunk, num_classes: int) -> None:
        super().__init__(trunk)
        self.head = nn.Linear(trunk.backbone.embedding_dim, num_classes)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.embed(image)
        return self.head(embedding).float(), embedding

    def embed(self, image: Tensor) -> Tensor:
        """The picture's embedding alone: FP32 [B, D]."""
        embedding: Tensor = self.backbone(self.normalise(image))
        return embedding.float()
