"""What a server adds to a token: streams over HTTP beside our generator in a process of its own.

    python -m benchmarks.generation_http [--rounds 5]

The weights of benchmarks.generation, imported as a package and served with one compute thread on a core of its own; the
callers have the other core. The generator beside it has the server's core and the same single thread, and its turn in
every round. Answers of 64 tokens after prompts of 32, streamed token by token.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import msgspec
import numpy as np

from benchmarks.generation_worker import OURS
from benchmarks.language_model import CONTEXT, VOCABULARY, write_checkpoint
from benchmarks.machine import SERVER_CORE, describe_machine, pinned
from benchmarks.processes import Server, tidegate_server
from benchmarks.rounds import interleave
from benchmarks.worker import Worker

MODEL = "llama-110m"
NUM_NEW, PROMPT_LENGTH = 64, 32
THROUGH_HTTP = "through the server"
FACTS = f"""
name = "{MODEL}"
task = "text_generation"

[text]
context = {CONTEXT}
"""
RECIPE = """
protocol = "generative"
description = "fp32 alone; random weights have nothing to lose by compression"
num_verify = 20
num_continuations = 60
continuation_tokens = 4
num_profile = 50
num_golden = 4
golden_tokens = 4
slots = [8]
latency_seconds = 0.2

[variants.fp32.tolerances]
max_bits_per_byte_increase = 0.0001
min_decision_agreement = 0.999
max_relative_difference = 0.01
"""


@contextmanager
def open_contenders() -> Iterator[tuple[Worker, Server]]:
    """The generator by itself, and a server of the same weights, on the same core."""
    with tempfile.TemporaryDirectory(prefix="tidegate-generation-http-") as scratch:
        folder = Path(scratch)
        checkpoint = folder / "checkpoint"
        write_checkpoint(checkpoint)
        packages = build_package(checkpoint, folder)
        command = [sys.executable, "-m", "benchmarks.generation_worker", OURS, str(checkpoint)]
        worker = Worker(pinned(SERVER_CORE, command), folder / "worker.log")
        try:
            with tidegate_server(packages, {"TIDEGATE_RUNTIME_THREADS": "1"}) as server:
                yield worker, server
        finally:
            worker.close()


def build_package(checkpoint: Path, folder: Path) -> Path:
    """A store of packages with the checkpoint's in it, promoted."""
    packages, texts = folder / "packages", folder / "texts"
    texts.mkdir()
    random = np.random.default_rng(0)
    for index in range(100):
        letters = random.choice(list("abcdefghijklmnopqrstuvwxyz "), 400)
        (texts / f"{index}.txt").write_text("".join(letters))
    (folder / "facts.toml").write_text(FACTS)
    (folder / "recipe.toml").write_text(RECIPE)
    files = ["--facts", str(folder / "facts.toml"), "--recipe", str(folder / "recipe.toml"), "--samples", str(texts)]
    for command in (["import", str(checkpoint), *files], ["promote", MODEL]):
        done = subprocess.run(
            [sys.executable, "-m", "tidegate", *command, "--store", str(packages)], capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"tidegate {command[0]} failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    return packages


def generate(server: Server, num_streams: int, seed: int) -> float:
    """Tokens a second of so many streams that begin together."""
    random = np.random.default_rng(seed)
    prompts = random.integers(3, VOCABULARY, (num_streams, PROMPT_LENGTH)).tolist()

    async def ask() -> float:
        async with httpx.AsyncClient(timeout=300) as client:
            started_at = perf_counter()
            num_tokens = sum(await asyncio.gather(*(stream(client, server, prompt) for prompt in prompts)))
            return num_tokens / (perf_counter() - started_at)

    return asyncio.run(ask())


async def stream(client: httpx.AsyncClient, server: Server, prompt: list[int]) -> int:
    """Reads one answer as it comes; returns how many tokens it has. Raises RuntimeError for anything else."""
    body = {"model": MODEL, "prompt": prompt, "max_tokens": NUM_NEW, "temperature": 0, "stream": True}
    options = {"stream_options": {"include_usage": True}}
    last: dict[str, Any] = {}
    async with client.stream("POST", server.url("/v1/completions"), json={**body, **options}) as answer:
        if answer.status_code != 200:
            raise RuntimeError(f"the server answered {answer.status_code}: {(await answer.aread()).decode()[:500]}")
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                last = msgspec.json.decode(line.removeprefix("data: "))
    num_tokens: int = last["usage"]["completion_tokens"]
    return num_tokens


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.generation_http", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    num_rounds = parser.parse_args(arguments).rounds
    print(describe_machine())
    seeds = iter(range(10, 1_000_000, 10))
    with open_contenders() as (worker, server):

        def alone(rows: int) -> float:
            rates: Mapping[str, float] = worker.ask("rate", rows=rows, num_new=NUM_NEW, seed=next(seeds))
            return rates["whole"]

        def through_http(rows: int) -> float:
            return generate(server, rows, next(seeds))

        contenders: dict[str, Callable[[], float]] = {}
        for rows in (1, 8):
            contenders[f"{OURS} {rows}"] = partial(alone, rows)
            contenders[f"{THROUGH_HTTP} {rows}"] = partial(through_http, rows)
        rounds = interleave(contenders, num_rounds, print)
    for rows in (1, 8):
        names = [f"{OURS} {rows}", f"{THROUGH_HTTP} {rows}"]
        rates = [rounds.median(name, lambda rate: rate) for name in names]
        ratio = rounds.ratio(names[1], names[0], lambda rate: rate)
        print(f"{rows} at once: {rates[0]:.1f} tokens/s by itself, {rates[1]:.1f} {THROUGH_HTTP}: {ratio} of it")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
