"""What somebody asks of a retraining, and the recipe of the training that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from export.recipe import NamedRecipe
from registry.tracking import HOME
from tidegate.added_examples import find_added, warn_of_crossing
from tidegate.output import note
from training.data.added import NothingNew, spelled_as
from training.progress import pulse
from training.recipe import Recipe

if TYPE_CHECKING:
    from training.retraining import Origin

FOLDER = HOME / "retraining"
"""Plans of retrainings, and what was captured and is learnt from."""


@dataclass(frozen=True)
class Request:
    """What somebody asked for. `data`: what is added, None for the champion's own data alone; `is_new_normal`: drift is
    measured from it alone from now on; `recipe`: of the export, where it is not to be the champion's."""

    name: str
    data: Path | None = None
    overrides: Sequence[str] = ()
    is_new_normal: bool = False
    recipe: NamedRecipe | None = None

    @property
    def asks_for_nothing_else(self) -> bool:
        """Whether added data are all that it is about."""
        return self.data is not None and not (self.overrides or self.is_new_normal or self.recipe)


def training_recipe(origin: Origin, request: Request) -> tuple[Recipe, bool]:
    """The champion's recipe with the data of the request, and whether there is anything in these that the champion has
    not learnt from. Raises NotFound, BadInput, InvalidRecipe, NothingNew."""
    from training.data.joined import parts_of
    from training.retraining import joined_data, retraining_recipe

    known = data = origin.recipe.data
    if request.data is not None:
        found = find_added(origin, request.data, request.name, keep=(FOLDER / "data").resolve())
        added = spelled_as(found, parts_of(known))
        data = joined_data(known, added, request.is_new_normal)
        if added not in parts_of(known):
            warn_of_crossing(known, added)
    with pulse("looking whether the champion's data are what they were"):
        learns_on = origin.has_its_data()
    adds = len(parts_of(data)) > len(parts_of(known))
    if learns_on and not adds and request.asks_for_nothing_else:
        raise NothingNew(f"--data {request.data}: the champion has learnt from that already, as it is")
    if not learns_on:
        note(
            "the champion's data have changed since it was trained: what is held out now it may have learnt from then, "
            "so the training begins with new weights, and figures beside it flatter the champion"
        )
    recipe = retraining_recipe(origin, data, request.overrides, learns_on)
    if learns_on and not recipe.model.warm_start:
        note("by --set the champion may have learnt from what is held out now, so the training begins with new weights")
    return recipe, not learns_on or any(part not in parts_of(known) for part in parts_of(recipe.data))
