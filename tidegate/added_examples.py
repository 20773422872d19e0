"""What a retraining adds to a champion's data: found, and compared with what is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.output import note

if TYPE_CHECKING:
    from training.data.config import DataConfig
    from training.retraining import Origin


def find_added(origin: Origin, path: Path, name: str, keep: Path) -> DataConfig:
    """What is at `path`, captured by servers (and then copied into `keep`) or gathered otherwise. Raises NotFound,
    BadInput, InvalidRecipe, NothingNew."""
    from training.data.added import NothingNew, added_data
    from training.data.captured_snapshot import Captured, holds_other_models, is_captured
    from training.retraining import snapshots_below

    task, labels = origin.recipe.task, tuple(origin.facts.task.get("labels", ()))
    if not is_captured(path, name):
        if holds_other_models(path):
            raise NothingNew(f"--data {path}: of {name!r} nothing was captured there yet")
        return added_data(path, task, labels)
    captured = Captured(path, name, task, labels, origin.chat_template())
    return captured.take_snapshot(keep, snapshots_below(keep, origin.recipe.data))


def warn_of_crossing(known: DataConfig, added: DataConfig) -> None:
    """Says how much of what is added would be learnt from in one place and held out in another. Raises InvalidRecipe,
    NotFound."""
    from training.data.leakage import num_crossing
    from training.data.source import open_part

    if number := num_crossing(open_part(known), open_part(added)):
        note(
            f"{number} of the added examples are in another split of the champion's data: leave them out of --data, "
            "or what is held out has been learnt and every figure looks better than it is"
        )
