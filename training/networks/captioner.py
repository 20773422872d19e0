"""A captioner: what every architecture that says in words what a picture shows offers to training and export alike."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor

from tasks.image import ImageSpec
from training.networks.architecture import Architecture
from training.networks.language_network import LanguageNetwork
from training.networks.network import Network, Trunk


class View(NamedTuple):
    """What is seen of pictures: the backbone's maps, and the levels that were made of them, finest first."""

    maps: list[Tensor]
    levels: list[Tensor]


class Captioner(Network):
    """image [B, H, W, 3], uint8 or float of 0…255 → (features FP32 [B, P, width], embedding FP32 [B, D]).

    That is the encoder, the graph that runs once for a picture. `decoder` attends to the features, which stand before
    the tokens of the caption, and runs once for each of them. The P features are the cells of `grid`, row by row.
    """

    output_names: ClassVar[tuple[str, ...]] = ("features", "embedding")

    def __init__(self, trunk: Trunk, decoder: LanguageNetwork, grid: tuple[int, int]) -> None:
        super().__init__(trunk)
        self.decoder = decoder
        self.grid = grid
        """Rows and columns that the picture is seen in."""

    def see(self, image: Tensor) -> View:
        """Pictures as they come → what of them may be learnt from other tasks."""
        raise NotImplementedError

    def prefix(self, view: View) -> Tensor:
        """→ features [B, P, width]."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        view = self.see(image)
        return self.prefix(view).float(), self.backbone.pool(view.maps).float()

    def next_logits(self, view: View, tokens: Tensor) -> Tensor:
        """What is seen, and captions INT64 [B, S] as far as they are known → logits [B, S, vocabulary] of what comes
        after each token."""
        logits: Tensor = self.decoder(tokens, self.prefix(view))
        return logits


class CaptionerArchitecture(Architecture, Protocol):
    """A file of training/models that builds captioners over any backbone."""

    def build(self, options: Any, trunk: Trunk, vocabulary: int, context: int, image: ImageSpec) -> Captioner: ...

    def find_grid(self, options: Any, image: ImageSpec) -> tuple[int, int]:
        """Rows and columns of features, known before anything is built."""
        ...
