"""What a request pays for each thing that a server may do beside answering it.

    python -m benchmarks.features [--rounds 10] [--seconds 2] [--only tensor|picture|photograph]

Several servers share the server's core and take their turns in every round: one that remembers nothing for feedback,
then each with one feature more. Capture keeps every picture, a trace is written of every request and of one in a
hundred, and every request is checked against a key: more than anybody asks for, so that the cost is seen. The traces go
to a collector that shares the server's core.

    tensor       0.02 ms model, 12 kB tensor in
    picture      0.02 ms model, JPEG 320×240 in, /v1 classify
    photograph   ResNet-18 of 1,000 classes, JPEG 1280×960 in, /v1 classify

The bar: with the photograph, whatever is on, at least 0.97 of the requests of the server without it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.contenders import Load, Turn, load_turn
from benchmarks.load import Request, run_wrk
from benchmarks.machine import describe_machine
from benchmarks.packages import RESNET, TINY
from benchmarks.processes import Server, echo_server, tidegate_server
from benchmarks.requests import photograph, picture_over_http, tensor_over_http
from benchmarks.rounds import Rounds, interleave
from benchmarks.serving import build_packages, cpu_us, note, p50_ms, p99_ms, requests_per_s
from serving.access.caller import Role
from serving.access.key_edits import issue_key

PLAIN = "nothing beside"
CONNECTIONS = 8
BAR = 0.97
Workload = Callable[[Server], Request]
WORKLOADS: Mapping[str, tuple[str, Workload]] = {
    "tensor": ("0.02 ms model, 12 kB tensor in", lambda server: tensor_over_http(server, TINY, 64)),
    "picture": (
        "0.02 ms model, JPEG 320×240 in",
        lambda server: picture_over_http(server, TINY, "classify", photograph(320, 240)),
    ),
    "photograph": (
        "ResNet-18, JPEG 1280×960 in",
        lambda server: picture_over_http(server, RESNET, "classify", photograph()),
    ),
}


def settings_of(scratch: Path, key_file: Path, collector: str) -> Mapping[str, Mapping[str, str]]:
    """What is on → the variables that switch it on."""
    nothing = {"TIDEGATE_VARIANT": "fp32", "TIDEGATE_FEEDBACK_MEMORY": "0"}
    capture = {"TIDEGATE_CAPTURE_SHARE": "1", "TIDEGATE_CAPTURE_BUDGET_BYTES": str(2**28)}
    features: Mapping[str, Mapping[str, str]] = {
        PLAIN: {},
        "feedback (the default)": {"TIDEGATE_FEEDBACK_MEMORY": "20000"},
        "capture of everything": capture,
        "keys": {"TIDEGATE_API_KEYS": str(key_file)},
        "traces, 1 of 100": {"TIDEGATE_TRACES_URL": collector, "TIDEGATE_TRACE_SHARE": "0.01"},
        "traces of everything": {"TIDEGATE_TRACES_URL": collector, "TIDEGATE_TRACE_SHARE": "1"},
    }
    folders = {name: scratch / f"server-{number}" for number, name in enumerate(features)}
    return {
        name: {
            **nothing,
            "TIDEGATE_CACHE_DIR": str(folders[name] / "cache"),
            **({"TIDEGATE_CAPTURE_DIR": str(folders[name] / "captured")} if feature is capture else {}),
            **feature,
        }
        for name, feature in features.items()
    }


def take_turns(servers: Mapping[str, Server], workload: Workload, key: str, rounds: int, seconds: int) -> Rounds[Turn]:
    """Every server answers the same request in every round. All send the key: most servers do not look at it."""
    contenders: dict[str, Callable[[], Turn]] = {}
    for name, server in servers.items():
        plain = workload(server)
        request = Request(plain.url, plain.body, plain.headers | {"Authorization": f"Bearer {key}"})
        load = Load(run_wrk, request, server.pid)
        contenders[name] = partial(load_turn, load, CONNECTIONS, seconds)
    return interleave(contenders, rounds, note)


def print_table(title: str, rounds: Rounds[Turn], bar: float | None) -> None:
    """One row a server. `+ CPU µs`: a request's CPU time more than without, the engine's included in both."""
    print(f"\n{title}, {CONNECTIONS} connections")
    print(f"{'':26}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU µs':>9}{'+ CPU µs':>10}   requests, of {PLAIN!r}")
    for name in rounds.kept[0]:
        figures = [rounds.median(name, figure) for figure in (requests_per_s, p50_ms, p99_ms, cpu_us)]
        more_us = statistics.median(kept[name].cpu_us - kept[PLAIN].cpu_us for kept in rounds.kept)
        ratio = rounds.ratio(name, PLAIN, requests_per_s)
        verdict = "" if bar is None or name == PLAIN else f" ≥ {bar} {'met' if ratio.median >= bar else 'MISSED'}"
        print(f"{name:26}" + "".join(f"{value:9.2f}" for value in figures) + f"{more_us:10.1f}   {ratio}{verdict}")
    print(f"stolen CPU: worst kept round {max(rounds.stolen_shares):.1%}; {rounds.num_disturbed} rounds disturbed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=2, help="length of one turn, whole seconds")
    parser.add_argument("--only", choices=WORKLOADS, action="append", help="leave out the others; may be repeated")
    arguments = parser.parse_args()
    print(describe_machine())
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        build_packages(scratch / "packages", {TINY, RESNET})
        key = issue_key(scratch / "keys.toml", "benchmark", Role.PREDICT, None).text()
        port, _ = stack.enter_context(echo_server("http"))
        settings = settings_of(scratch, scratch / "keys.toml", f"http://127.0.0.1:{port}/v1/traces")
        servers = {
            name: stack.enter_context(tidegate_server(scratch / "packages", chosen))
            for name, chosen in settings.items()
        }
        for name in arguments.only or WORKLOADS:
            title, workload = WORKLOADS[name]
            is_slow = name == "photograph"
            # Whoever is cut off at the end is not counted: a batch of eight is a quarter of a second.
            seconds = arguments.seconds * (5 if is_slow else 1)
            rounds = take_turns(servers, workload, key, arguments.rounds, seconds)
            print_table(title, rounds, BAR if is_slow else None)


if __name__ == "__main__":
    main()
