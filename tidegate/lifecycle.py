"""The steps of a model's life as the command line and the demo take them: what a name means, and where things go."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from registry.store import PackageStore, VersionInfo, open_store
from registry.tracking import HOME, is_tracking_uri, tracking_uri
from tasks.errors import BadInput
from tidegate.build_folder import build_folder
from training.progress import pulse

# Read when MLflow is imported. What it has to say about its own workings is not about the user's model.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

if TYPE_CHECKING:
    from export.recipe import NamedRecipe
    from registry.package import ModelPackage
    from training.recipe import Recipe
    from training.run import TrainedModel


def train_model(recipe: Recipe, store_uri: str | None, resume: bool = False, or_begin: bool = False) -> TrainedModel:
    """Trains, and registers the next version of "<name>-trained". `resume`: goes on with the interrupted run of this
    recipe; `or_begin`: where there is one, and else begins."""
    uri = require_tracking(store_uri)
    with pulse("loading the training framework"):
        from training.run import is_interrupted, train

    # Each process of a distributed training asks for itself: the one that begins has left nothing to go on with.
    goes_on = resume and (not or_begin or is_interrupted(recipe, HOME))
    return train(recipe, workdir=HOME, tracking_uri=uri, resume=goes_on)


def export_model(name: str, recipe: NamedRecipe, store_uri: str | None) -> tuple[ModelPackage, VersionInfo]:
    """The newest "<name>-trained" → a verified package, registered as the next version of "<name>"."""
    uri = require_tracking(store_uri)
    with pulse("loading the training framework"):
        from export.export_checkpoint import export_checkpoint
        from training.checkpoint import read_facts
        from training.registered import newest_checkpoint

    with build_folder() as folder:
        checkpoint = newest_checkpoint(uri, name, folder)
        chosen = recipe.for_task(read_facts(checkpoint.folder).task["kind"])
        package = export_checkpoint(checkpoint.folder, chosen, folder / "package", run_id=checkpoint.run_id)
        return publish(open_store(uri), package)


def import_model(
    model: Path, facts_file: Path, samples: Path, recipe: NamedRecipe, store_uri: str | None
) -> tuple[ModelPackage, VersionInfo]:
    """A model made elsewhere → a verified package, registered as the next version of the name in its facts."""
    from export.import_facts import load_import_facts
    from export.import_model import import_model as build

    store, facts = open_store(store_uri), load_import_facts(facts_file)
    with build_folder() as folder:
        chosen = recipe.for_task(facts.task)
        return publish(store, build(model, facts, samples, chosen, folder / "package"))


def publish(store: PackageStore, package: ModelPackage) -> tuple[ModelPackage, VersionInfo]:
    """Into the store; the package is then handed out from the cache, because where it was built goes."""
    lineage = package.manifest.lineage
    with pulse("registering the package"):
        found = store.publish(package.folder, lineage.run_id, {"tidegate.git_commit": lineage.git_commit})
    return store.fetch(found, HOME / "cache"), found


def require_tracking(store_uri: str | None) -> str:
    """Training writes runs, which a folder of packages has no place for. Raises BadInput."""
    uri = store_uri or tracking_uri()
    if not is_tracking_uri(uri):
        raise BadInput(f"training is recorded in MLflow, and {uri} is a folder of packages; leave out --store")
    return uri
