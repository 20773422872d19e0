"""Commands that use models: `serve` answers over the network, `predict` answers files."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tidegate.options import NameArgument, StoreOption, examples
from tidegate.output import note

SERVE_EXAMPLES = examples(
    "tidegate serve                          every model that has a champion",
    "tidegate serve digits@challenger cats/3",
    "tidegate serve --store ./packages --http-port 80",
    "TIDEGATE_ADMIN_TOKEN=… tidegate serve digits",
    "TIDEGATE_API_KEYS=keys.toml tidegate serve digits     for holders of keys alone: tidegate keys --help",
)
PREDICT_EXAMPLES = examples(
    "tidegate predict digits seven.jpg",
    "tidegate predict digits@challenger pictures/ --out results.jsonl",
    "tidegate predict digits pictures/ --out results.jsonl    again: goes on where it stopped",
)


def register(app: typer.Typer) -> None:
    app.command(epilog=SERVE_EXAMPLES)(serve)
    app.command(epilog=PREDICT_EXAMPLES)(predict)


def serve(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME[@ALIAS | /VERSION] …]", help="Default: all with a champion.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    http_port: Annotated[int | None, typer.Option(help="HTTP; 0 = any free one.  [default: 8000]")] = None,
    grpc_port: Annotated[int | None, typer.Option(help="gRPC.  [default: 8001]")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Prometheus.  [default: 8002]")] = None,
    admin_port: Annotated[int | None, typer.Option(help="Administration.  [default: 8003]")] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Settings in TOML.")] = None,
    store: StoreOption = None,
) -> None:
    """Serve models over HTTP and gRPC until SIGTERM or Ctrl-C.

    Every setting is a TIDEGATE_* variable too (TIDEGATE_HTTP_PORT=80). Flags win over variables, those over --config.
    """
    from registry.store import open_store
    from serving.config_sources import load_config
    from serving.runtimes.installed_engine import check_one_engine

    ports = {"http_port": http_port, "grpc_port": grpc_port, "metrics_port": metrics_port, "admin_port": admin_port}
    flags = {"host": host, **ports, "models": tuple(models) if models else None}
    settings = load_config(os.environ, flags, config)
    check_one_engine()
    opened = open_store(store)

    from serving.app import run_server

    run_server(opened, settings)


def predict(
    name: NameArgument,
    source: Annotated[Path, typer.Argument(metavar="FILE|FOLDER", help="A picture or a prompt, or a folder of them.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append answers here and skip what it holds. Default: stdout.")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Answer files without a server, one JSON line each; a broken file yields a row with its error.

    NAME may carry @ALIAS or /VERSION. Leaves with 8 where any file could not be answered.
    """
    from tidegate.predict import answer_files

    total = answer_files(store, name, source, out)
    note(f"{total.answered} answered, {total.failed} failed, {total.skipped} skipped")
    if total.failed:
        sys.exit(8)
