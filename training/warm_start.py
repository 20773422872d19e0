"""Warm start: weights of a trained model as the first ones of another, as far as both are the same.

All of them where the answers mean the same too: the model that learns on. Else the backbone, whatever the tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tasks.errors import InvalidRecipe
from training.checkpoint import WEIGHTS_FILE
from training.data.source import DataSource
from training.kind import TrainingKind
from training.networks.network import Network, Trainable
from training.recipe import Recipe


@dataclass(frozen=True)
class Beginner:
    """A network before its first step, and what it is to learn."""

    network: Trainable
    kind: TrainingKind
    source: DataSource
    recipe: Recipe

    def take_over(self, folder: Path) -> str:
        """The weights in a checkpoint folder. Where they do not fit says why, and nothing is changed."""
        misfit = self.kind.find_misfit(self.source, self.recipe, folder)
        if misfit:
            return misfit
        weights = read_weights(folder)
        if fits_wholly(self.network, weights) and self.kind.answers_alike(self.source, self.recipe, folder):
            self.network.load_state_dict(weights)
            return ""
        return replace_trunk(self.network, weights)


def check_origin(origin: str, tracking_uri: str) -> None:
    """Raises NotFound where there is nothing to start from: before pictures are drawn or read, which takes minutes."""
    from training.registered import find_versions

    if not Path(origin).is_dir():
        find_versions(tracking_uri, origin)


def warm_start(beginner: Beginner, tracking_uri: str) -> str:
    """Replaces weights of a network by those of its recipe's `model.warm_start`: a checkpoint folder, version V of
    "<name>-trained" for "name/V", or the newest that fits for "name". Says which it was. Raises NotFound, or
    InvalidRecipe where nothing fits."""
    origin = beginner.recipe.model.warm_start
    if Path(origin).is_dir():
        misfit = beginner.take_over(Path(origin))
        if misfit:
            raise InvalidRecipe(f"model.warm_start: {origin} does not fit: {misfit}")
        return origin
    from training.registered import newest_checkpoints

    misfits = []
    with TemporaryDirectory(prefix="tidegate-warm-start-") as folder:
        for checkpoint in newest_checkpoints(tracking_uri, origin, Path(folder)):
            misfit = beginner.take_over(checkpoint.folder)
            if not misfit:
                return f"{checkpoint.name} version {checkpoint.version}"
            misfits.append(misfit)
    raise InvalidRecipe(
        f"model.warm_start: of {origin!r} nothing fits ({len(misfits)} tried). Of the newest: {misfits[0]}"
    )


def fits_wholly(network: Trainable, weights: dict[str, Tensor]) -> bool:
    """Whether every tensor of the network is there, in its shape, and no other."""
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    return wanted == {name: tensor.shape for name, tensor in weights.items()}


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights in a checkpoint folder. Raises InvalidRecipe."""
    try:
        return load_file(folder / WEIGHTS_FILE)
    except (OSError, SafetensorError) as error:
        raise InvalidRecipe(f"model.warm_start: {folder} holds no readable {WEIGHTS_FILE} ({error})") from error


def replace_trunk(network: Trainable, weights: dict[str, Tensor]) -> str:
    """Takes the trunk's weights over if all of them fit. Else says what does not, and nothing is changed."""
    wanted = {
        name: tensor.shape for name, tensor in network.state_dict().items() if name.startswith(network.warm_trunk)
    }
    found = {name: tensor for name, tensor in weights.items() if name.startswith(network.warm_trunk)}
    differing = sorted(
        name for name in wanted.keys() | found.keys() if name not in found or wanted.get(name) != found[name].shape
    )
    if differing:
        return (
            f"its backbone is another one ({len(differing)} tensors differ, {differing[0]} first): describe it in "
            "model.backbone, or train one like that"
        )
    network.load_state_dict(found | find_parts(network, weights), strict=False)
    return ""


def find_parts(network: Trainable, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the network can take over besides its trunk: parts of which the other one has every tensor."""
    parts: dict[str, Tensor] = {}
    for beginning in network.warm_parts if isinstance(network, Network) else ():
        wanted = {name: tensor.shape for name, tensor in network.state_dict().items() if name.startswith(beginning)}
        found = {name: weights[name] for name in wanted if name in weights}
        if {name: tensor.shape for name, tensor in found.items()} == wanted:
            parts |= found
    return parts
