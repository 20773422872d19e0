"""The command that lets a champion learn on: retrain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tasks.errors import BadInput
from tidegate.model_commands import RecipeOption
from tidegate.options import NameArgument, StoreOption, examples
from tidegate.output import note

RETRAIN_EXAMPLES = examples(
    "tidegate retrain digits --data new-pictures/",
    "tidegate retrain digits --data captured/ --new-is-normal --promote",
    "tidegate retrain digits --set schedule.epochs=2 --set data.repeat=4 --data rare/",
    "tidegate retrain digits --resume",
)


def register(app: typer.Typer) -> None:
    app.command(epilog=RETRAIN_EXAMPLES)(retrain)


def retrain(
    name: NameArgument,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER|TOML", help="What to add: a folder, what a server captured, or a [data] table."),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="K=V", help="Change one field of the training's recipe.")
    ] = None,
    new_is_normal: Annotated[
        bool, typer.Option("--new-is-normal", help="From now on measure drift from the added data alone.")
    ] = False,
    recipe: RecipeOption = None,
    promotes: Annotated[bool, typer.Option("--promote", help="Make it the champion if every gate holds.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the one that was interrupted.")] = False,
    store: StoreOption = None,
) -> None:
    """Train the champion of NAME further, and register what comes of it as its challenger.

    By the recipe, seeds and data of its training and what --data adds, from its weights; exported by the recipe of its
    export (--recipe names another). The champion is tried on the same held-out examples, and the gates go by that.
    """
    if resume and (data or overrides or new_is_normal or recipe):
        raise BadInput("--resume goes on as it was begun: give it no --data, --set, --new-is-normal or --recipe")
    if new_is_normal and data is None:
        raise BadInput("--new-is-normal says what the data of --data are: give them too")

    from export.recipe import NamedRecipe
    from tidegate.retrain import retrain as run
    from tidegate.retrain_request import Request
    from training.data.added import NothingNew

    chosen = NamedRecipe(recipe) if recipe else None
    request = Request(name, data, tuple(overrides or ()), new_is_normal, chosen)
    try:
        print(run(request, store, resume, promotes))
    except NothingNew as nothing:
        note(f"nothing new to learn from, so {name} stays as it is: {nothing}")
