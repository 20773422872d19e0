"""Warm start: weights of a trained model as the first ones of another, as far as both are the same.

That is the backbone, whatever the tasks, and all of a language model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tasks.errors import InvalidRecipe
from training.checkpoint import WEIGHTS_FILE
from training.networks.network import Network, Trainable


def check_origin(name_or_folder: str, tracking_uri: str) -> None:
    """Raises NotFound where there is nothing to start from: before pictures are drawn or read, which takes minutes."""
    from training.registered import find_versions

    if not Path(name_or_folder).is_dir():
        find_versions(tracking_uri, name_or_folder)


def warm_start(network: Trainable, name_or_folder: str, tracking_uri: str, find_misfit: Callable[[Path], str]) -> str:
    """Replaces the trunk of a network by that of a checkpoint folder, or of the newest "<name>-trained" that fits; says
    which it was. `find_misfit`: why the weights in a folder would not fit, whatever their shapes. Raises NotFound, or
    InvalidRecipe where nothing fits."""
    if Path(name_or_folder).is_dir():
        misfit = start_from(network, Path(name_or_folder), find_misfit)
        if misfit:
            raise InvalidRecipe(f"model.warm_start: {name_or_folder} does not fit: {misfit}")
        return name_or_folder
    from training.registered import newest_checkpoints

    misfits = []
    with TemporaryDirectory(prefix="tidegate-warm-start-") as folder:
        for checkpoint in newest_checkpoints(tracking_uri, name_or_folder, Path(folder)):
            misfit = start_from(network, checkpoint.folder, find_misfit)
            if not misfit:
                return f"{name_or_folder}-trained version {checkpoint.version}"
            misfits.append(misfit)
    raise InvalidRecipe(
        f"model.warm_start: none of the {len(misfits)} versions of '{name_or_folder}-trained' fits. Of the newest: "
        f"{misfits[0]}"
    )


def start_from(network: Trainable, folder: Path, find_misfit: Callable[[Path], str]) -> str:
    """Takes over the weights in a checkpoint folder. Where they do not fit says why, and nothing is changed."""
    return find_misfit(folder) or replace_trunk(network, read_weights(folder))


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
