"""Low rank: layers whose weights say little become several thin ones, which need fewer multiplications.

Each layer takes the form that costs least (see `export.compress.factorisation`), or stays as it is where none saves
enough, and the network learns on: what single layers lose adds up along the way. The last layers, which say classes and
boxes, stay whole: a rank below the number of their outputs ties those to each other (all four sides of a box to one
number, at half the multiplications), and they are next to nothing of the work.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, ClassVar

import msgspec
from torch import nn

from export.compress.answering_layers import answering_weights
from export.compress.factorisation import Candidate, cost_of, forms_of
from export.compress.learning import FineTuning, Learning
from export.compress.technique import Form, NetworkTechnique
from export.section import Share
from tasks.errors import InvalidRecipe
from training.models.lstm import LSTM
from training.networks.language_network import LanguageNetwork
from training.networks.network import Network, Trainable

Part = Annotated[float, msgspec.Meta(gt=0, lt=1)]


class LowRank(NetworkTechnique, frozen=True, kw_only=True, tag="low_rank"):
    """Either `energy`, the share of its squared weights that every layer keeps, or `multiplications`, the share of its
    multiplications that every layer may still need. Layers that save less than `min_saving` of theirs stay whole:
    several layers are more to do than one, beside multiplying."""

    makes: ClassVar[Form | None] = "thin layers"
    undoes: ClassVar[frozenset[Form]] = frozenset({"zeros", "zeros in fours", "shared values", "rounded weights"})
    energy: Part | None = None
    multiplications: Part | None = None
    min_saving: Share = 0.2
    fine_tuning: FineTuning = FineTuning()

    def __post_init__(self) -> None:
        if (self.energy is None) == (self.multiplications is None):
            raise ValueError(
                "low_rank takes either energy (what every layer keeps, say 0.9) or multiplications (what it may need, "
                "say 0.5)"
            )

    def compress(self, network: Trainable, learning: Learning) -> Trainable:
        if isinstance(network, LSTM):
            raise InvalidRecipe(
                "low_rank: a graph has all gates of an LSTM in one operator, which takes whole matrices; take "
                "channel_pruning, which leaves it fewer units"
            )
        answering = answering_weights(network, learning.recipe.image_spec) if isinstance(network, Network) else set()
        if not self.factorise(network, answering):
            raise InvalidRecipe(
                f"low_rank: no layer of {type(network).__name__} saves {self.min_saving:.0%} of its multiplications by "
                "it: lower energy, multiplications or min_saving, or take a wider network"
            )
        learning.fine_tune(network, self.fine_tuning)
        return network

    def factorise(self, network: Trainable, answering: Collection[int] = ()) -> list[str]:
        """Replaces layers in place, but those whose weights, by `id`, are `answering`. Returns their names."""
        replaced = []
        for name, layer in list(network.named_modules()):
            if is_read_elsewhere(network, name) or id(getattr(layer, "weight", None)) in answering:
                continue
            best = self._choose(layer)
            if best is not None and best.multiplications <= (1 - self.min_saving) * cost_of(layer):
                prefix, _, last = name.rpartition(".")
                setattr(network.get_submodule(prefix), last, best.build())
                replaced.append(name)
        return replaced

    def _choose(self, layer: nn.Module) -> Candidate | None:
        """The best way to write a layer; None where there is no other."""
        forms = forms_of(layer)
        if not forms:
            return None
        if self.energy is not None:
            return min((form.at_energy(self.energy) for form in forms), key=lambda each: each.multiplications)
        assert self.multiplications is not None
        limit = self.multiplications * cost_of(layer)
        found = [form.at_cost(limit) for form in forms]
        return max(found, key=lambda each: (each.multiplications <= limit, each.energy))


def is_read_elsewhere(network: Trainable, name: str) -> bool:
    """The head of a language model: networks and graphs read its weight by themselves."""
    prefix, _, last = name.rpartition(".")
    return last == "head" and isinstance(network.get_submodule(prefix), LanguageNetwork)
