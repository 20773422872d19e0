"""Commands that make models: train, export, import. Nothing heavy is imported before its command runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tasks.errors import BadInput
from tidegate.options import NameArgument, StoreOption, examples
from tidegate.output import note, print_table
from tidegate.search_options import SearchOption, SearchStorageOption, SpaceOption, TrialsOption, search_request
from tidegate.triton_options import BackendOption, EngineOption, TritonOption, VariantOption, triton_request

if TYPE_CHECKING:
    from registry.package import ModelPackage
    from registry.store import VersionInfo

TRAIN_EXAMPLES = examples(
    "tidegate train digits-quick",
    "tidegate train my-recipe.toml --set schedule.epochs=30 --set optimiser.learning_rate=1e-3",
    "tidegate train digits --resume",
    "tidegate train digits-quick --search --trials 40",
    "torchrun --nproc-per-node 2 -m tidegate train digits",
)
EXPORT_EXAMPLES = examples(
    "tidegate export digits",
    "tidegate export digits --recipe quick",
    "tidegate export digits --recipe channel-pruning --set extends=quick",
    "tidegate export digits --search --trials 40",
    "tidegate export digits@champion --triton repository/",
)
IMPORT_EXAMPLES = examples(
    "tidegate import cats.onnx                        beside it: cats.toml, and cats/ with a folder for each label",
    "tidegate import my-vit/ --facts cats.toml --samples pictures/",
)

RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe", metavar="R", help="An export recipe's name, or the path of a TOML file. Default: by the task."
    ),
]


SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="K=V", help="Change one field of the recipe: num_verify=1000.")
]


def register(app: typer.Typer) -> None:
    app.command(epilog=TRAIN_EXAMPLES)(train)
    app.command(epilog=EXPORT_EXAMPLES)(export)
    app.command(name="import", epilog=IMPORT_EXAMPLES)(import_)


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's name, or the path of a TOML file.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="K=V", help="Change one field: schedule.epochs=30.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with this recipe's interrupted run. (A search always goes on.)")
    ] = False,
    or_begin: Annotated[
        bool, typer.Option("--or-begin", help="With --resume: begin where no run of this recipe was interrupted.")
    ] = False,
    search: SearchOption = False,
    space: SpaceOption = None,
    trials: TrialsOption = None,
    search_storage: SearchStorageOption = None,
    store: StoreOption = None,
) -> None:
    """Train a model; registers the next version of NAME-trained.

    With --search many values of the recipe's fields are tried, those of the network too, and the best is registered.
    """
    if or_begin and not resume:
        raise BadInput("--or-begin says what --resume does where nothing was interrupted: give both, or neither")
    if searched := search_request(search, space, trials, search_storage):
        from tidegate.search import search_recipe

        search_recipe(recipe, overrides or (), searched, store)
        return

    from training.recipe import load_recipe

    chosen = load_recipe(recipe, overrides or ())

    from tidegate.lifecycle import train_model

    trained = train_model(chosen, store, resume, or_begin)
    print_table(("METRIC", "VALUE"), [(name, f"{value:.4f}") for name, value in sorted(trained.metrics.items())])
    note(f"registered {chosen.name}-trained version {trained.version}; next: tidegate export {chosen.name}")


def export(
    name: NameArgument,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    triton: TritonOption = None,
    variant: VariantOption = None,
    backend: BackendOption = None,
    engine: EngineOption = None,
    search: SearchOption = False,
    space: SpaceOption = None,
    trials: TrialsOption = None,
    search_storage: SearchStorageOption = None,
    store: StoreOption = None,
) -> None:
    """Compress and verify a trained model; registers a package.

    Takes the newest NAME-trained. Every variant is held against the trained model on held-out data; one outside the
    recipe's tolerances fails the export with a table of what missed (exit code 4). With --search many ways to
    compress it are tried, and the fastest that passes is registered.
    """
    searched = search_request(search, space, trials, search_storage)
    if request := triton_request(triton, variant, backend, engine, builds=bool(recipe or overrides or searched)):
        from tidegate.triton_export import write_repository

        write_repository(name, request, store)
        return
    if searched:
        from tidegate.search import search_exports

        if made := search_exports(name, recipe or "", overrides or (), searched, store):
            report(*made)
        return

    from export.recipe import NamedRecipe

    chosen = NamedRecipe(recipe or "", overrides or ())

    from tidegate.lifecycle import export_model

    report(*export_model(name, chosen, store))


def import_(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="An .onnx file, or a transformers folder.")],
    facts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Name, task, labels, preprocessing. Default: PATH with .toml.")
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Labelled pictures, see docs/export.md. Default: PATH's stem.")
    ] = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    store: StoreOption = None,
) -> None:
    """Build a package from a model made elsewhere.

    The same verification and the same gates as for one trained here. See docs/export.md for the TOML.
    """
    from export.recipe import NamedRecipe

    chosen = NamedRecipe(recipe or "", overrides or ())

    from tidegate.lifecycle import import_model

    beside = path.resolve().with_suffix("")
    found_samples = samples or (beside if path.is_file() else beside.with_name(f"{beside.name}-samples"))
    report(*import_model(path, facts or beside.with_suffix(".toml"), found_samples, chosen, store))


def report(package: ModelPackage, found: VersionInfo) -> None:
    """What was measured, and what to do next."""
    from export.report import format_report
    from tidegate.failed_exports import sheet_list

    print(format_report(package))
    note(f"what each variant forgot: {sheet_list(package.folder)}")
    note(f"registered {found.name} version {found.version}; next: tidegate promote {found.name}")
