"""What a user types. Parses and delegates; everything heavy is imported by the command that needs it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tasks.errors import TidegateError
from tidegate import (
    engine_commands,
    key_commands,
    model_commands,
    registry_commands,
    retrain_command,
    serving_commands,
)
from tidegate.exit_codes import EXIT_CODES, UNEXPECTED, exit_code_table
from tidegate.options import StoreOption, examples
from tidegate.output import note

INTRODUCTION = """Takes a deep-learning model from training to production and keeps it honest there.

\b
The whole loop, in the order of a model's life:
  tidegate train digits-quick
  tidegate export digits
  tidegate promote digits
  tidegate serve digits
  tidegate predict digits pictures/ --out results.jsonl

Models live in .tidegate/ in the working directory. MLFLOW_TRACKING_URI or --store points elsewhere: at an MLflow
server (http://…) or at a folder of packages."""

app = typer.Typer(
    name="tidegate",
    help=INTRODUCTION,
    epilog=f"\b\nExit codes:\n{exit_code_table()}",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"tidegate {version('tidegate')}")
        raise typer.Exit


@app.callback()
def tidegate(
    show_version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


model_commands.register(app)
retrain_command.register(app)
registry_commands.register(app)
serving_commands.register(app)
engine_commands.register(app)
key_commands.register(app)


@app.command(epilog=examples("tidegate demo", "tidegate demo --once     stop after the summary"))
def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop after the summary instead of serving on.")] = False,
    store: StoreOption = None,
) -> None:
    """Take a model of each kind through the whole loop: train, export, gate, promote, serve, ask, watch.

    Trains the five by short recipes, serves them on this machine and keeps serving until Ctrl-C.
    """
    from tidegate.demo import run_demo

    run_demo(store, keep_serving=not once)


def main() -> None:
    """Runs a command. An error of ours is one line on stderr and the exit code of its kind."""
    try:
        app()
    except TidegateError as error:
        note(f"tidegate: {error}")
        sys.exit(EXIT_CODES[error.kind])
    except OSError as error:
        note(f"tidegate: {error}")
        sys.exit(UNEXPECTED)
    except KeyboardInterrupt:
        sys.exit(130)
    except SystemExit as leaving:
        # Lightning makes a code of its own of Ctrl-C.
        if isinstance(leaving.__context__, KeyboardInterrupt):
            note("tidegate: interrupted")
            sys.exit(130)
        raise
