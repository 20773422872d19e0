"""Structured pruning: whole channels and units leave, and what is left is a smaller network, faster everywhere.

Li et al., "Pruning filters for efficient ConvNets" (2017): the channels with the smallest weights go, and the network
learns on. Not for the outputs: classes, boxes, positions and the width of embeddings of tokens stay as they are.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from export.compress.channel_groups import ChannelGroup, Ranking, count_removed
from export.compress.decoder_units import decoder_groups
from export.compress.learning import FineTuning, Learning
from export.compress.picture_channels import Embedding, PictureChannels
from export.compress.technique import Form, NetworkTechnique
from export.section import Count
from tasks.errors import InvalidRecipe
from training.networks.captioner import Captioner
from training.networks.language_network import LanguageNetwork
from training.networks.network import Network, Trainable

Importance = Literal["l1", "l2"]
POWERS: dict[Importance, int] = {"l1": 1, "l2": 2}


class ChannelPruning(NetworkTechnique, frozen=True, kw_only=True, tag="channel_pruning"):
    """`ratio`: the share of the channels of every layer that leave ("uniform"), or of all layers together ("global":
    then some lose more, because theirs count less). What is left is a multiple of `round_to`: processors compute full
    registers anyway. `importance`: the norm of weights that channels are weighed by.

    `embedding` is an output that nothing is decoded from: "narrowed", it loses channels like any other map, and can no
    longer be compared with that of the trained model number by number; "whole", the last stage stays wide.

    In several `rounds` equal parts leave, with the fine-tuning `between` after each of them but the last."""

    makes: ClassVar[Form | None] = "fewer channels"
    undoes: ClassVar[frozenset[Form]] = frozenset({"zeros in fours", "rounded weights"})
    ratio: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5
    round_to: Count = 8
    importance: Importance = "l2"
    ranking: Ranking = "uniform"
    embedding: Embedding = "narrowed"
    rounds: Count = 1
    between: FineTuning = FineTuning()
    fine_tuning: FineTuning = FineTuning()

    def compress(self, network: Trainable, learning: Learning) -> Trainable:
        channels = Channels(network, learning, self)
        for number in range(1, self.rounds + 1):
            channels.narrow(self.ratio * number / self.rounds)
            learning.fine_tune(network, self.fine_tuning if number == self.rounds else self.between)
        return network


class Channels:
    """Those of one network that may leave it."""

    def __init__(self, network: Trainable, learning: Learning, config: ChannelPruning) -> None:
        self._network, self._config, self._power = network, config, POWERS[config.importance]
        self._pictures: PictureChannels | None = None
        if isinstance(network, Network):
            image = learning.recipe.image_spec
            self._pictures = PictureChannels(network, image, self._power, config.embedding)
        self._sizes = {group.name: len(group) for group in self._groups()}

    def narrow(self, share: float) -> None:
        """Removes channels until this share of the first ones has left. Raises InvalidRecipe where none can."""
        groups, config = self._groups(), self._config
        removed = count_removed(groups, self._sizes, share, config.round_to, config.ranking)
        leaving = {group.name: group.smallest(removed[group.name]) for group in groups if removed[group.name]}
        if not leaving and sum(map(len, groups)) == sum(self._sizes.values()):
            raise InvalidRecipe(
                f"channel_pruning: no layer of {type(self._network).__name__} can lose {share:.0%} of its channels and "
                f"keep a multiple of {config.round_to}: lower round_to, or raise ratio"
            )
        for group in groups:
            if group.name in leaving:
                group.remove(leaving[group.name])
        if self._pictures is not None:
            self._pictures.check()

    def _groups(self) -> list[ChannelGroup]:
        groups = [] if self._pictures is None else self._pictures.groups()
        decoder = self._network.decoder if isinstance(self._network, Captioner) else self._network
        if isinstance(decoder, LanguageNetwork):
            groups += decoder_groups(decoder, self._power)
        return groups
