"""The command that prepares a machine for serving: build-engines."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.options import StoreOption, examples
from tidegate.output import note, print_table

BUILD_EXAMPLES = examples(
    "tidegate build-engines                           every model that has a champion",
    "tidegate build-engines digits@challenger cats/3 --variant fp16",
    "TIDEGATE_ENGINE_CACHE=/engines tidegate build-engines digits",
)
COLUMNS = ("MODEL", "VARIANT", "GRAPH", "ENGINE", "DETAIL")


def register(app: typer.Typer) -> None:
    app.command(name="build-engines", epilog=BUILD_EXAMPLES)(build_engines)


def build_engines(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME[@ALIAS | /VERSION] …]", help="Default: all with a champion.")
    ] = None,
    variant: Annotated[
        str | None, typer.Option(metavar="V", help="Its name, or all. Default: the one that a server here chooses.")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Build TensorRT engines on this machine's GPU, and prove each by the golden replay.

    Run it before `tidegate serve`, with the same TIDEGATE_* settings; TIDEGATE_ENGINE=tensorrt makes the server use
    them. An engine that is there already is left alone. Leaves with the code of the first graph that has no engine and
    should have one; a server runs that graph on ONNX Runtime, and says so.
    """
    from registry.store import open_store
    from tidegate.build_engines import build_for_server

    note("building takes minutes for each graph")
    rows, error = [], None
    for info, outcome in build_for_server(open_store(store), models or (), variant):
        rows.append((info, outcome.variant, outcome.role, outcome.state, outcome.detail))
        note(f"{info} {outcome.variant} {outcome.role}: {outcome.state}")
        error = error or outcome.error
    print_table(COLUMNS, rows)
    if error is not None:
        raise error
