"""`tidegate demo`: the whole loop on one screen, nothing faked: train, export, gate, promote, serve, ask, watch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from export.recipe import NamedRecipe
from export.report import format_report
from registry.package import ModelPackage
from registry.store import open_store
from registry.tracking import HOME
from tidegate.demo_kinds import KINDS, DemoKind
from tidegate.demo_server import DemoServer
from tidegate.demo_traffic import (
    CONNECTIONS,
    ask_by_curl,
    ask_by_tritonclient,
    call,
    fetch_picture,
    measure_rate,
    send_all,
    stream_completion,
)
from tidegate.lifecycle import export_model, train_model
from tidegate.promotion import promote_model
from training.progress import track

NUM_WATCHED = 300
RATE_SECONDS = 3.0
DRIFT_PATIENCE_S = 60.0
ANSWER_CHARACTERS = 400
STREAMED_TOKENS = 60


class Screen:
    """What the demo tells: one line when a step begins, indented findings, the time it took."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._num_steps = 0

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        self._num_steps += 1
        self._console.print(f"\n[bold cyan]{self._num_steps}[/] [bold]{title}[/]")
        started = time.monotonic()
        yield
        self._console.print(f"  [green]✓[/] [dim]{time.monotonic() - started:.1f} s[/]")

    def say(self, text: str) -> None:
        self._console.print(f"  {text}", soft_wrap=True)

    def write(self, beginning: str, pieces: Iterable[str]) -> None:
        """Text that comes in pieces, each shown at once."""
        self._console.print(f"  {escape(beginning)}", end="", soft_wrap=True)
        for piece in pieces:
            self._console.print(escape(piece).replace("\n", " "), end="", style="italic", soft_wrap=True)
        self._console.print()

    def show(self, what: Any) -> None:
        self._console.print(what)


def run_demo(store_uri: str | None, keep_serving: bool) -> None:
    """The loop for every kind of model. Leaves the models in the store; the server stops with the demo."""
    screen = Screen()
    screen.show("[bold]Tidegate[/]: models from training to production, and kept honest there")
    packages = [make_model(screen, kind, store_uri) for kind in KINDS]
    bodies = {
        kind.model: kind.material.draw(kind.recipe, package, NUM_WATCHED)
        for kind, package in zip(KINDS, packages, strict=True)
    }
    with DemoServer(list(bodies), HOME / "demo-server.log") as server:
        with screen.step("Serve"):
            screen.say(f"[dim]$ {' '.join(server.command)}[/]")
            screen.say(f"ready in {server.wait_until_ready():.1f} s, golden inputs replayed")
        with screen.step("Ask it, with clients people have already"):
            for kind in KINDS:
                ask(screen, server, kind, bodies[kind.model][0])
        with screen.step("Watch for drift"):
            for kind in KINDS:
                watch(screen, server, kind, bodies[kind.model])
        rates = {
            kind.model: measure_rate(server.http_address, kind.path, bodies[kind.model], RATE_SECONDS) for kind in KINDS
        }
        for package in packages:
            screen.show(f"\n[bold]What {package.manifest.name} is[/]")
            screen.show(escape(format_report(package)))
        screen.show(addresses_table(server, rates))
        screen.show("\n[bold]Look at all of it, and try each model, in a browser:[/]")
        screen.say(f"[bold cyan]{console_address(server)}[/]")
        if keep_serving:
            screen.show("\nServing until Ctrl-C …")
            server.wait()


def make_model(screen: Screen, kind: DemoKind, store_uri: str | None) -> ModelPackage:
    """Trained, exported, promoted."""
    with screen.step(f"Train by recipe {kind.recipe_name}"):
        trained = train_model(kind.recipe, store_uri)
        scored = kind.scored_as.format(trained.metrics[kind.score])
        screen.say(f"{scored} → {kind.model}-trained version {trained.version}")
    with screen.step("Compress, export, verify against the trained model; gate and promote"):
        package, found = export_model(kind.model, NamedRecipe(kind.export_recipe), store_uri)
        variants = ", ".join(package.manifest.variants)
        screen.say(f"variants {variants} with their evidence → {kind.model} version {found.version}")
        event = promote_model(open_store(store_uri), kind.model)
        screen.say(f"{len(event.gates)} gates held → {kind.model}@{event.alias} is version {event.version}")
    return package


def ask(screen: Screen, server: DemoServer, kind: DemoKind, body: bytes) -> None:
    """The same picture or prompt through three clients, and drawn or streamed."""
    file = HOME / f"demo-{kind.model}{kind.material.suffix}"
    file.write_bytes(body)
    exchange = ask_by_curl(f"http://{server.http_address}{kind.path}{kind.query}", file)
    if exchange is None:
        screen.say("[yellow]curl is not installed: going on without it[/]")
    else:
        command, answer = exchange
        screen.say(f"[dim]$ {command}[/]")
        screen.say(escape(shortened(answer.strip())))
    clients: dict[Literal["http", "grpc"], str] = {"http": server.http_address, "grpc": server.grpc_address}
    for protocol, address in clients.items():
        asked = ask_by_tritonclient(protocol, address, kind.model, kind.material.tensor, kind.material.element(body))
        screen.say(f"[dim]tritonclient.{protocol}:[/] {escape(kind.summarise(asked))}")
    if kind.drawing:
        drawn = HOME / f"demo-{kind.verb}.jpg"
        drawn.write_bytes(fetch_picture(server.http_address, f"{kind.path}{kind.drawing}", body))
        screen.say(f"[dim]{kind.path}{kind.drawing} →[/] {drawn}")
    if kind.stream:
        pieces = stream_completion(server.http_address, kind.model, kind.stream, STREAMED_TOKENS)
        screen.write(f"streamed from /v1/completions: {kind.stream}", pieces)


def shortened(text: str) -> str:
    """A mask in words is long."""
    return text if len(text) <= ANSWER_CHARACTERS else f"{text[:ANSWER_CHARACTERS]}…"


def watch(screen: Screen, server: DemoServer, kind: DemoKind, bodies: Sequence[bytes]) -> None:
    """The verdict on inputs like those of training, then on the same ones spoilt, as by a failing camera."""
    material = kind.material
    spoilt = [material.spoil(body, seed) for seed, body in enumerate(bodies)]
    for what, sent in (("as in training", bodies), (material.spoilt_as, spoilt)):
        reset_drift(server, kind)
        for _ in track(send_all(server.http_address, kind.path, sent), what, len(sent)):
            pass
        report = drift_report(server, kind, len(sent))
        drifted = [
            f"{signal['signal']} (distance {signal['distance']:.2f})"
            for signal in report["signals"]
            if signal["drifted"]
        ]
        colour = "red" if drifted else "green"
        screen.say(
            f"{kind.model}: {report['num_images']:.0f} {material.noun} {what}: [{colour}]{report['status']}[/] "
            f"{', '.join(drifted[:3])}"
        )
    reset_drift(server, kind)


def reset_drift(server: DemoServer, kind: DemoKind) -> None:
    """Empty the window, so that one verdict is about one set of pictures."""
    call(server.admin_address, "POST", f"/v1/models/{kind.model}/drift/reset", server.admin_token)


def drift_report(server: DemoServer, kind: DemoKind, num_sent: int) -> Any:
    """The verdict once monitoring, which works after the answers have left, has seen every picture."""
    patience = time.monotonic() + DRIFT_PATIENCE_S
    while True:
        report = call(server.http_address, "GET", f"/v1/models/{kind.model}/drift")
        if report["num_images"] >= num_sent or time.monotonic() > patience:
            return report
        time.sleep(0.3)


def console_address(server: DemoServer) -> str:
    """The token is in the part of an address that a browser keeps to itself, and makes whoever opens it an
    administrator of this server."""
    return f"http://{server.http_address}/console#token={server.admin_token}"


def addresses_table(server: DemoServer, rates: Mapping[str, float]) -> Table:
    """Where to go on from here."""
    http = f"http://{server.http_address}"
    table = Table(
        title="\nWhere it is", title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=False
    )
    measured = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
    for what, where in (
        (
            "requests per second",
            f"{measured} (JPEG or a prompt in, {CONNECTIONS} connections, asked and answered by this machine)",
        ),
        *((kind.verb, f"{http}{kind.path}") for kind in KINDS),
        ("OpenAI API", f"{http}/v1 (completions, chat/completions, models)"),
        ("Open Inference Protocol", f"{http}/v2, gRPC {server.grpc_address}"),
        ("drift", f"{http}/v1/models/NAME/drift"),
        ("every route", f"{http}/docs"),
        ("metrics", f"http://127.0.0.1:{server.ports['metrics']}/metrics"),
    ):
        table.add_row(what, where)
    return table
