"""The channels of networks that see pictures, by Torch-Pruning: the only file that imports it.

Which layers must lose a channel together is read from the network as it computes (Fang et al., "DepGraph", 2023):
through shortcuts, joined maps, depthwise convolutions and normalisation.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch_pruning
from torch import Tensor, nn

from export.compress.channel_groups import ChannelGroup
from export.compress.factors import LinearFactors
from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from training.models.faster_rcnn import FasterRCNN, SecondStage
from training.models.fcos import FCOS
from training.networks.build import try_out
from training.networks.captioner import Captioner
from training.networks.dense import DenseHead
from training.networks.network import Network
from training.networks.segmenter import Segmenter

EMBEDDING = "embedding"
Embedding = Literal["narrowed", "whole"]


class PictureChannels:
    """Of one network. `power`: of the norm by which channels are weighed; `embedding`: whether that output may lose
    some of its numbers."""

    def __init__(self, network: Network, image: ImageSpec, power: int, embedding: Embedding) -> None:
        self._network, self._image, self._embedding = network, image, embedding
        self._weigh = torch_pruning.importance.GroupMagnitudeImportance(p=power)
        self._shapes = self._output_shapes()

    def groups(self) -> list[ChannelGroup]:
        """All groups that no output of the network shows. Raises InvalidRecipe for one that can not be followed."""
        if any("attention" in type(layer).__name__.lower() for layer in self._network.backbone.modules()):
            raise self._lost("it attends by heads, whose channels belong together")
        try:
            with warnings.catch_warnings(), torch.enable_grad():
                warnings.simplefilter("ignore")
                graph = torch_pruning.DependencyGraph().build_dependency(
                    self._network, self._picture(), forward_fn=self._answer, verbose=False
                )
                return [self._channel_group(graph, group) for group in graph.get_all_groups() if is_free(group)]
        except Exception as error:  # the library raises whatever its walk through the network meets
            raise self._lost(str(error)) from error

    def check(self) -> None:
        """To be called after channels have left: finds the sizes of the maps again. Raises InvalidRecipe where the
        network does not answer as it did."""
        try:
            try_out(self._network.backbone, self._image)
            shapes = self._output_shapes()
        except RuntimeError as error:
            raise self._lost(str(error)) from error
        changed = [name for name, shape in shapes.items() if shape != self._shapes[name] and name != EMBEDDING]
        if changed:
            raise self._lost(f"its output {', '.join(changed)} got another shape")

    def _channel_group(self, graph: Any, group: Any) -> ChannelGroup:
        root, handler = group[0].dep.target.module, group[0].dep.handler
        name = next(name for name, layer in self._network.named_modules() if layer is root)

        def remove(indices: Sequence[int]) -> None:
            graph.get_pruning_group(root, handler, list(indices)).prune()

        return ChannelGroup(name, self._weigh(group), remove)

    def _answer(self, network: Network, picture: Tensor) -> list[Tensor]:
        # A product is a step of its own behind the last layer: the walk begins there, and ends in an output.
        answers = guarded_outputs(network, picture)
        return [answer * 1 for name, answer in answers if name != EMBEDDING or self._embedding == "whole"]

    def _output_shapes(self) -> dict[str, torch.Size]:
        with torch.no_grad():
            answers = self._network.eval()(self._picture())
        return {name: answer.shape for name, answer in zip(self._network.output_names, answers, strict=True)}

    def _picture(self) -> Tensor:
        return torch.zeros(1, self._image.height, self._image.width, 3)

    def _lost(self, reason: str) -> InvalidRecipe:
        kind = type(self._network.backbone).__name__
        return InvalidRecipe(
            f"channel_pruning can not follow the channels of {type(self._network).__name__} over {kind} ({reason}); "
            "take magnitude_pruning or low_rank, which leave layers as wide as they are"
        )


def guarded_outputs(network: Network, picture: Tensor) -> list[tuple[str, Tensor]]:
    """Name → what must keep its channels, as far as gradients can be followed: the network's outputs, or what comes
    before steps in which channels lose their meaning."""
    if isinstance(network, Segmenter):
        logits, embedding = network.segment(picture)
        return [("logits", logits), (EMBEDDING, embedding)]
    if isinstance(network, Captioner):
        view = network.see(picture)
        return [*(("level", level) for level in view.levels), (EMBEDDING, network.backbone.pool(view.maps))]
    if isinstance(network, FCOS):
        maps = network.features(picture)
        return [*dense_answers(network.head, maps)[0], (EMBEDDING, network.backbone.pool(maps))]
    if isinstance(network, FasterRCNN):
        maps = network.features(picture)
        proposed, finest = dense_answers(network.first, maps)
        named = second_answers(network.second)
        return [*proposed, ("crops", finest), *named, (EMBEDDING, network.backbone.pool(maps))]
    return list(zip(network.output_names, network(picture), strict=True))


def dense_answers(head: DenseHead, maps: list[Tensor]) -> tuple[list[tuple[str, Tensor]], Tensor]:
    """What every branch says, before boxes are made of it; and the finest map, from which crops may be taken."""
    said: list[tuple[str, Tensor]] = []

    def listen(branch: nn.Module, inputs: object, answers: tuple[Tensor, ...]) -> None:
        said.extend(("branch", answer) for answer in answers)

    hooks = [branch.register_forward_hook(listen) for branch in head.branches]
    finest = head(maps).levels[0]
    for hook in hooks:
        hook.remove()
    return said, finest


def second_answers(stage: SecondStage) -> list[tuple[str, Tensor]]:
    """Of one crop: it stands by itself, because along positions nothing can be followed."""
    entry = stage.look[0]
    assert isinstance(entry, (nn.Linear, LinearFactors))
    seen = stage.look(torch.zeros(1, entry.in_features))
    return [("logits", stage.classify(seen)), ("corrections", stage.correct(seen))]


def is_free(group: Any) -> bool:
    """May its channels leave? Not those that reach an output, nor those of convolutions in several groups: each of the
    groups would have to lose as many."""
    targets = [item.dep.target for item in group]
    if any(target.type == torch_pruning.ops.OPTYPE.OUTPUT for target in targets):
        return False
    layers = (target.module for target in targets)
    return not any(isinstance(layer, nn.Conv2d) and 1 < layer.groups < layer.in_channels for layer in layers)
