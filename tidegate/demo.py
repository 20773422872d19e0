"""`tidegate demo`: the whole loop on one screen, nothing faked: train, export, gate, promote, serve, ask, watch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from export.recipe import load_export_recipe
from registry.package import ModelPackage
from registry.store import open_store
from registry.tracking import HOME
from tidegate.demo_server import DemoServer
from tidegate.demo_traffic import CONNECTIONS, add_noise, ask_by_curl, ask_by_tritonclient, call, measure_rate, send_all
from tidegate.lifecycle import export_model, train_model
from tidegate.promotion import promote_model
from training.data.config import ScenesConfig
from training.data.scene_source import SceneSource
from training.progress import track
from training.recipe import load_recipe

RECIPE, EXPORT_RECIPE = "digits-quick", "quick"
NUM_WATCHED = 300
RATE_SECONDS = 3.0
DRIFT_PATIENCE_S = 20.0


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

    def show(self, what: Any) -> None:
        self._console.print(what)


def run_demo(store_uri: str | None, keep_serving: bool) -> None:
    """The loop. Leaves the model in the store; the server stops with the demo."""
    screen = Screen()
    screen.show("[bold]Tidegate[/]: one model from training to production, and kept honest there")
    recipe = load_recipe(RECIPE)
    assert isinstance(recipe.data, ScenesConfig)
    name = recipe.name
    with screen.step(f"Train by recipe {RECIPE}"):
        trained = train_model(recipe, store_uri)
        accuracy = trained.metrics["val_accuracy"]
        screen.say(f"{accuracy:.1%} right on pictures it never saw → {name}-trained version {trained.version}")
    with screen.step("Compress, export, verify against the trained model"):
        package, found = export_model(name, load_export_recipe(EXPORT_RECIPE), store_uri)
        screen.say(
            f"variants {', '.join(package.manifest.variants)} with their evidence → {name} version {found.version}"
        )
    with screen.step("Gate and promote"):
        event = promote_model(open_store(store_uri), name)
        screen.say(f"{len(event.gates)} gates held → {name}@{event.alias} is version {event.version}")
    pictures = fresh_pictures(recipe.data)
    with DemoServer(name, HOME / "demo-server.log") as server:
        with screen.step("Serve"):
            screen.say(f"[dim]$ {' '.join(server.command)}[/]")
            screen.say(f"ready in {server.wait_until_ready():.1f} s, its golden pictures replayed")
        with screen.step("Ask it, with clients people have already"):
            ask(screen, server, pictures[0])
        with screen.step("Watch for drift"):
            watch(screen, server, pictures)
        rate = measure_rate(server.http_address, classify_path(name), pictures, RATE_SECONDS)
        screen.show(variants_table(package))
        screen.show(addresses_table(server, rate))
        if keep_serving:
            screen.show("\nServing until Ctrl-C …")
            server.wait()


def fresh_pictures(config: ScenesConfig) -> list[bytes]:
    """Scenes that neither training nor the reference has seen, as JPEG."""
    stream = SceneSource(config).stream("test", seed=time.time_ns() % 2**32)
    return [example.payload for example in track(islice(stream, NUM_WATCHED), "drawing pictures", NUM_WATCHED)]


def classify_path(name: str) -> str:
    return f"/v1/models/{name}/classify"


def ask(screen: Screen, server: DemoServer, picture: bytes) -> None:
    """The same picture through three clients."""
    file = HOME / "demo.jpg"
    file.write_bytes(picture)
    exchange = ask_by_curl(f"http://{server.http_address}{classify_path(server.model)}?top_k=2", file)
    if exchange is None:
        screen.say("[yellow]curl is not installed: going on without it[/]")
    else:
        command, answer = exchange
        screen.say(f"[dim]$ {command}[/]")
        screen.say(answer.strip())
    clients: dict[Literal["http", "grpc"], str] = {"http": server.http_address, "grpc": server.grpc_address}
    for protocol, address in clients.items():
        label, score = ask_by_tritonclient(protocol, address, server.model, picture)
        screen.say(f"[dim]tritonclient.{protocol}:[/] {label} with {score:.1%}")


def watch(screen: Screen, server: DemoServer, pictures: Sequence[bytes]) -> None:
    """The verdict on pictures like those of training, then on the same pictures from a failing camera."""
    noisy = [add_noise(picture, seed) for seed, picture in enumerate(pictures)]
    for what, payloads in (("as in training", pictures), ("with noise", noisy)):
        reset_drift(server)
        for _ in track(send_all(server.http_address, classify_path(server.model), payloads), what, len(payloads)):
            pass
        report = drift_report(server, len(payloads))
        drifted = [
            f"{signal['signal']} (distance {signal['distance']:.2f})"
            for signal in report["signals"]
            if signal["drifted"]
        ]
        colour = "red" if drifted else "green"
        screen.say(
            f"{report['num_images']:.0f} pictures {what}: [{colour}]{report['status']}[/] {', '.join(drifted[:3])}"
        )
    reset_drift(server)


def reset_drift(server: DemoServer) -> None:
    """Empty the window, so that one verdict is about one set of pictures."""
    call(server.admin_address, "POST", f"/v1/models/{server.model}/drift/reset", server.admin_token)


def drift_report(server: DemoServer, num_pictures: int) -> Any:
    """The verdict once monitoring, which works after the answers have left, has seen every picture."""
    patience = time.monotonic() + DRIFT_PATIENCE_S
    while True:
        report = call(server.http_address, "GET", f"/v1/models/{server.model}/drift")
        if report["num_images"] >= num_pictures or time.monotonic() > patience:
            return report
        time.sleep(0.3)


def variants_table(package: ModelPackage) -> Table:
    """Accuracy, size and latency of every variant, beside the trained model."""
    variants = package.manifest.variants
    evidence = {name: variant.evidence for name, variant in variants.items()}
    first = next(iter(evidence.values()))
    table = Table(title="\nWhat it is", title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("variant")
    batches = sorted(first.latency_ms, key=int)
    for column in (first.metric, "size", *(f"ms at batch {batch}" for batch in batches)):
        table.add_column(column, justify="right")
    table.add_row("trained", f"{first.metrics[f'trained_{first.metric}']:.2%}")
    for name, each in evidence.items():
        latencies = [f"{each.latency_ms[batch]:.2f}" for batch in batches]
        table.add_row(name, f"{each.metrics[each.metric]:.2%}", f"{each.num_bytes / 1e6:.2f} MB", *latencies)
    return table


def addresses_table(server: DemoServer, rate: float) -> Table:
    """Where to go on from here."""
    http = f"http://{server.http_address}"
    table = Table(
        title="\nWhere it is", title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=False
    )
    for what, where in (
        ("requests per second", f"{rate:.0f} (JPEG in, {CONNECTIONS} connections, this machine asking and answering)"),
        ("predictions", f"{http}{classify_path(server.model)}"),
        ("Open Inference Protocol", f"{http}/v2, gRPC {server.grpc_address}"),
        ("drift", f"{http}/v1/models/{server.model}/drift"),
        ("every route", f"{http}/docs"),
        ("metrics", f"http://127.0.0.1:{server.ports['metrics']}/metrics"),
    ):
        table.add_row(what, where)
    return table
