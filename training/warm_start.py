"""Warm start: the backbone of a trained model as the first weights of another, whatever their tasks."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tasks.errors import InvalidRecipe
from training.checkpoint import WEIGHTS_FILE
from training.networks.network import Network

TRUNK = ("normalise.", "backbone.")
"""What is taken over: the backbone, and the normalisation that its weights were learnt behind."""


def find_weights(name_or_folder: str, tracking_uri: str) -> dict[str, Tensor]:
    """The weights of a checkpoint folder, or of the newest "<name>-trained". Raises NotFound or InvalidRecipe."""
    if Path(name_or_folder).is_dir():
        return read_weights(Path(name_or_folder))
    from training.registered import newest_checkpoint

    with TemporaryDirectory(prefix="tidegate-warm-start-") as folder:
        return read_weights(newest_checkpoint(tracking_uri, name_or_folder, Path(folder)).folder)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights in a checkpoint folder. Raises InvalidRecipe."""
    try:
        return load_file(folder / WEIGHTS_FILE)
    except (OSError, SafetensorError) as error:
        raise InvalidRecipe(f"model.warm_start: {folder} holds no readable {WEIGHTS_FILE} ({error})") from error


def warm_start(network: Network, weights: dict[str, Tensor], origin: str) -> None:
    """Replaces the trunk of a network. Raises InvalidRecipe where the two backbones are not the same."""
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items() if name.startswith(TRUNK)}
    found = {name: tensor for name, tensor in weights.items() if name.startswith(TRUNK)}
    differing = sorted(
        name for name in wanted.keys() | found.keys() if name not in found or wanted.get(name) != found[name].shape
    )
    if differing:
        raise InvalidRecipe(
            f"model.warm_start: the backbone of {origin!r} is another one ({len(differing)} tensors differ, "
            f"{differing[0]} first); model.backbone must be what that model was trained with"
        )
    network.load_state_dict(found, strict=False)
