"""Weights of a trained model as the first ones of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import save_file

from tasks.errors import InvalidRecipe, NotFound
from training.checkpoint import CheckpointFacts, save_checkpoint
from training.classification.kind import ClassificationKind
from training.data.source import SplitSource
from training.networks.build import build_classifier
from training.networks.classifier import Classifier
from training.recipe import Recipe, parse_recipe
from training.tracking import RunTracker
from training.warm_start import Beginner, check_origin, warm_start

LABELS = ("cat", "dog", "owl")


def recipe_from(origin: str, width: int = 8, mean: float = 0.5) -> Recipe:
    options: dict[str, Any] = {"depths": [1], "widths": [width], "stem": "small", "mean": [mean] * 3}
    model = {"architecture": "resnet", "options": options, "warm_start": origin}
    image = {"height": 16, "width": 16}
    return parse_recipe({"name": "new", "data": {"source": "digits"}, "image": image, "model": model}, "here")


def beginner(origin: str, num_classes: int, width: int = 8, labels: tuple[str, ...] = ()) -> Beginner:
    """A network that knows nothing yet, of as many classes."""
    names = labels or tuple(str(number) for number in range(num_classes))
    recipe = recipe_from(origin, width)
    return Beginner(build(width, len(names)), ClassificationKind(), SplitSource(names, {}), recipe)


def build(width: int, num_classes: int, mean: float = 0.5) -> Classifier:
    recipe = recipe_from("", width, mean)
    return build_classifier(recipe.model, num_classes, recipe.image_spec)


def save(folder: Path, network: torch.nn.Module) -> str:
    folder.mkdir()
    save_file(network.state_dict(), folder / "model.safetensors")
    return str(folder)


def save_labelled(folder: Path, network: Classifier, labels: tuple[str, ...]) -> str:
    """A whole checkpoint, which says what its classes are."""
    recipe = recipe_from("")
    spec = ClassificationKind().labelled_spec(labels, recipe)
    facts = CheckpointFacts(
        task=msgspec.to_builtins(spec),
        recipe=msgspec.to_builtins(recipe),
        network=recipe.model,
        dataset_digest="",
        split_sizes={},
        git_commit="",
        libraries={},
        metrics={},
    )
    save_checkpoint(folder, network, facts)
    return str(folder)


def test_a_model_of_the_same_classes_learns_on(tmp_path: Path) -> None:
    old = build(8, 3, mean=0.25)
    start = beginner(save_labelled(tmp_path / "old", old, LABELS), 3, labels=LABELS)
    warm_start(start, "")
    assert all(torch.equal(tensor, old.state_dict()[name]) for name, tensor in start.network.state_dict().items())


def test_classes_in_another_order_are_other_answers(tmp_path: Path) -> None:
    start = beginner(save_labelled(tmp_path / "old", build(8, 3), LABELS), 3, labels=LABELS[::-1])
    head = start.network.state_dict()["head.weight"].clone()
    warm_start(start, "")
    assert torch.equal(head, start.network.state_dict()["head.weight"])


def test_the_trunk_is_taken_over_and_the_head_is_not(tmp_path: Path) -> None:
    old = build(8, 3, mean=0.25)
    origin = save(tmp_path / "old", old)
    start = beginner(origin, 5)
    new = start.network
    head = new.head.weight.clone()
    assert warm_start(start, "") == origin
    images = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(old.eval()(images)[1], new.eval()(images)[1])
    assert torch.equal(head, new.head.weight)


def test_another_backbone_is_refused(tmp_path: Path) -> None:
    start = beginner(save(tmp_path / "old", build(4, 3)), 3)
    before = {name: tensor.clone() for name, tensor in start.network.state_dict().items()}
    with pytest.raises(InvalidRecipe, match="is another one"):
        warm_start(start, "")
    assert all(torch.equal(tensor, before[name]) for name, tensor in start.network.state_dict().items())


def test_of_a_registered_model_the_newest_version_that_fits_is_taken(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = RunTracker.start(uri, tmp_path, "old", {})
    for artifact, width in (("first", 8), ("second", 8), ("third", 4)):
        save(tmp_path / artifact, build(width, 3, mean=0.1 if artifact == "second" else 0.2))
        tracker.log_folder(tmp_path / artifact, artifact)
        tracker.register("old-trained", artifact, {})
    start = beginner("old", 5)
    assert warm_start(start, uri) == "old-trained version 2"
    assert torch.allclose(start.network.normalise.shift, torch.tensor(0.1 * 255))
    with pytest.raises(InvalidRecipe, match=r"of 'old' nothing fits \(3 tried\)"):
        warm_start(beginner("old", 3, width=16), uri)


def test_a_version_may_be_named(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = RunTracker.start(uri, tmp_path, "old", {})
    for artifact, mean in (("first", 0.1), ("second", 0.2)):
        save(tmp_path / artifact, build(8, 3, mean))
        tracker.log_folder(tmp_path / artifact, artifact)
        tracker.register("old-trained", artifact, {})
    start = beginner("old/1", 3)
    assert warm_start(start, uri) == "old-trained version 1"
    assert torch.allclose(start.network.normalise.shift, torch.tensor(0.1 * 255))
    check_origin("old/2", uri)
    with pytest.raises(NotFound, match="'old-trained' has no version 3; there are: 2, 1"):
        check_origin("old/3", uri)


def test_missing_weights_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match=r"model\.safetensors"):
        warm_start(beginner(str(tmp_path), 3), "")
    with pytest.raises(NotFound, match="nobody-trained"):
        warm_start(beginner("nobody", 3), f"sqlite:///{tmp_path}/mlflow.db")


def test_what_is_not_there_is_said_before_any_work(tmp_path: Path) -> None:
    check_origin(str(tmp_path), "")
    with pytest.raises(NotFound, match="tidegate train nobody"):
        check_origin("nobody", f"sqlite:///{tmp_path}/mlflow.db")
    assert not (tmp_path / "mlflow.db").exists()
