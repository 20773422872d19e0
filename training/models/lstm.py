"""An LSTM language model, the classic text completer. Hochreiter and Schmidhuber, "Long short-term memory" (1997);
Zaremba et al., "Recurrent neural network regularization" (2014); tied embeddings: Press and Wolf (2017)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from torch import Tensor, nn
from torch.nn import functional

from tasks.errors import Unsupported
from training.networks.architecture import Options as ArchitectureOptions
from training.networks.config import Building
from training.networks.language_network import LanguageNetwork
from training.networks.shrink import scale_width

BUILDS: Building = "language_model"
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]


class Options(ArchitectureOptions, frozen=True, kw_only=True):
    """`width` of embeddings, `hidden` units of each of `depth` layers."""

    width: AtLeastOne = 256
    hidden: AtLeastOne = 512
    depth: AtLeastOne = 1
    dropout: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0


class LSTM(LanguageNetwork):
    """See LanguageNetwork. The state begins at zero with the first token."""

    def __init__(self, options: Options, vocabulary: int) -> None:
        super().__init__()
        self.options, self.vocabulary, self.width = options, vocabulary, options.width
        self.embedding = nn.Embedding(vocabulary, options.width)
        self.layers = nn.ModuleList(
            nn.LSTM(options.width if level == 0 else options.hidden, options.hidden, batch_first=True)
            for level in range(options.depth)
        )
        self.projection = nn.Linear(options.hidden, options.width)
        self.dropout = nn.Dropout(options.dropout)
        nn.init.normal_(self.embedding.weight, std=0.05)
        for layer in self.layers:
            assert isinstance(layer, nn.LSTM)
            remember(layer)

    def forward(self, tokens: Tensor, features: Tensor | None = None) -> Tensor:
        if features is not None:
            raise Unsupported("an LSTM has nothing to attend to features with: take another architecture")
        x = self.dropout(self.embedding(tokens))
        for layer in self.layers:
            x = self.dropout(layer(x)[0])
        return functional.linear(self.projection(x), self.embedding.weight)


def build(options: Options, vocabulary: int, context: int) -> LSTM:
    return LSTM(options, vocabulary)


def remember(layer: nn.LSTM) -> None:
    """A forget gate that is open at first (Jozefowicz et al., 2015). Gates stand in the order i, f, g, o."""
    hidden = layer.hidden_size
    bias = layer.get_parameter("bias_ih_l0")
    nn.init.ones_(bias[hidden : 2 * hidden])


def shrink(options: Options, factor: float) -> Options:
    """See training/networks/shrink.py."""
    return msgspec.structs.replace(
        options, width=scale_width(options.width, factor), hidden=scale_width(options.hidden, factor)
    )
