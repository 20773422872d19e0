from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tasks.errors import InvalidRecipe, NotFound
from tasks.image import ImageSpec
from training.networks.build import build_classifier
from training.networks.classifier import Classifier
from training.networks.config import ModelConfig
from training.tracking import RunTracker
from training.warm_start import check_origin, warm_start

IMAGE = ImageSpec(height=16, width=16)


def fits(folder: Path) -> str:
    return ""


def build(width: int, num_classes: int, mean: float = 0.5) -> Classifier:
    options = {"depths": [1], "widths": [width], "stem": "small", "mean": [mean] * 3}
    return build_classifier(ModelConfig(architecture="resnet", options=options), num_classes, IMAGE)


def save(folder: Path, network: torch.nn.Module) -> str:
    folder.mkdir()
    save_file(network.state_dict(), folder / "model.safetensors")
    return str(folder)


def test_the_trunk_is_taken_over_and_the_head_is_not(tmp_path: Path) -> None:
    old, new = build(8, 3, mean=0.25), build(8, 5)
    head = new.head.weight.clone()
    origin = save(tmp_path / "old", old)
    assert warm_start(new, origin, "", fits) == origin
    images = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(old.eval()(images)[1], new.eval()(images)[1])
    assert torch.equal(head, new.head.weight)


def test_another_backbone_is_refused(tmp_path: Path) -> None:
    network = build(8, 3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(InvalidRecipe, match="is another one"):
        warm_start(network, save(tmp_path / "old", build(4, 3)), "", fits)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_of_a_registered_model_the_newest_version_that_fits_is_taken(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = RunTracker.start(uri, tmp_path, "old", {})
    for artifact, width in (("first", 8), ("second", 8), ("third", 4)):
        save(tmp_path / artifact, build(width, 3, mean=0.1 if artifact == "second" else 0.2))
        tracker.log_folder(tmp_path / artifact, artifact)
        tracker.register("old-trained", artifact, {})
    network = build(8, 5)
    assert warm_start(network, "old", uri, fits) == "old-trained version 2"
    assert torch.allclose(network.normalise.shift, torch.tensor(0.1 * 255))
    with pytest.raises(InvalidRecipe, match="none of the 3 versions of 'old-trained'"):
        warm_start(build(16, 3), "old", uri, fits)


def test_missing_weights_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match=r"model\.safetensors"):
        warm_start(build(8, 3), str(tmp_path), "", fits)
    with pytest.raises(NotFound, match="nobody-trained"):
        warm_start(build(8, 3), "nobody", f"sqlite:///{tmp_path}/mlflow.db", fits)


def test_what_is_not_there_is_said_before_any_work(tmp_path: Path) -> None:
    check_origin(str(tmp_path), "")
    with pytest.raises(NotFound, match="tidegate train nobody"):
        check_origin("nobody", f"sqlite:///{tmp_path}/mlflow.db")
    assert not (tmp_path / "mlflow.db").exists()
