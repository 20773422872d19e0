"""What a token costs: our generator beside `transformers` and onnxruntime-genai, on the same 110 million weights.

    python -m benchmarks.generation [--rounds 5]

A model in the shape of Llama (12 layers, 768 wide, vocabulary 32,000, fp32, random weights), two threads for whoever
has its turn, greedy, prompts of 32 tokens and answers of 64. Each engine has a process of its own and takes its turn in
every round. The bound is what memory allows: bandwidth (two threads that read as many bytes, in the same round) ÷ bytes
of weights that one token reads. Ours runs twice: with threads that sleep between operators, as a server that shares its
cores, and with threads that spin, as one that has them to itself (`between_operators`), which is what the other engines
do and what the bars are about. Exits with 1 if one is missed, or if the engines do not agree on the tokens.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from benchmarks.generation_worker import GENAI, MEMORY, OURS, SPINNING, TRANSFORMERS
from benchmarks.language_model import BYTES_PER_WEIGHT, build_for_genai, write_checkpoint
from benchmarks.machine import describe_machine
from benchmarks.rounds import Rounds, interleave
from benchmarks.worker import Worker

ENGINES = (OURS, SPINNING, TRANSFORMERS, GENAI)
NUM_NEW = 64
MIN_OF_BOUND, MIN_OF_GENAI = 0.9, 1.0
MIN_OF_TRANSFORMERS = {1: 5.0, 8: 2.0}
MAX_GAP_RATIO = 3.0
MAX_WAITING_RATIO = 1.1
WAITING = (0, 10_000)


@contextlib.contextmanager
def open_workers() -> Iterator[tuple[Mapping[str, Worker], int]]:
    """All engines over one checkpoint, and the bytes of weights that a token reads."""
    with tempfile.TemporaryDirectory(prefix="tidegate-generation-") as scratch:
        checkpoint, for_genai = Path(scratch) / "checkpoint", Path(scratch) / "genai"
        num_bytes = write_checkpoint(checkpoint) * BYTES_PER_WEIGHT
        build_for_genai(checkpoint, for_genai)
        folders = {
            OURS: checkpoint,
            SPINNING: checkpoint,
            TRANSFORMERS: checkpoint,
            GENAI: for_genai,
            MEMORY: checkpoint,
        }
        workers = {
            engine: Worker(
                [sys.executable, "-m", "benchmarks.generation_worker", engine, str(folder)],
                Path(scratch) / f"{engine}.log",
            )
            for engine, folder in folders.items()
        }
        try:
            yield workers, num_bytes
        finally:
            for worker in workers.values():
                worker.close()


def measure_rates(workers: Mapping[str, Worker], num_bytes: int, num_rounds: int) -> Rounds[Mapping[str, float]]:
    """Every engine at one row and at eight, and what memory gives, in each round."""

    def turn(engine: str, rows: int) -> Mapping[str, float]:
        figures: Mapping[str, float] = workers[engine].ask("rate", rows=rows, num_new=NUM_NEW, seed=next(seeds))
        return figures

    def read() -> Mapping[str, float]:
        return {"decoding": workers[MEMORY].ask("read", num_bytes=num_bytes) / num_bytes}

    seeds = iter(range(10, 1_000_000, 10))
    contenders: dict[str, Callable[[], Mapping[str, float]]] = {MEMORY: read}
    contenders |= {f"{engine} {rows}": partial(turn, engine, rows) for rows in (1, 8) for engine in ENGINES}
    return interleave(contenders, num_rounds, print)


def check_rates(rounds: Rounds[Mapping[str, float]]) -> bool:
    """Prints the table and every bar. True if all are met."""
    whole, decoding = (lambda figures: figures["whole"]), (lambda figures: figures["decoding"])
    print(f"\nmemory allows {rounds.median(MEMORY, decoding):.1f} tokens/s of one row")
    print(f"{'':20} {'1 row':>22} {'8 rows':>22}   (tokens/s: prompt included, after the first token)")
    for engine in ENGINES:
        cells = [
            f"{rounds.median(f'{engine} {rows}', whole):10.1f} {rounds.median(f'{engine} {rows}', decoding):11.1f}"
            for rows in (1, 8)
        ]
        print(f"{engine:20} {' '.join(cells)}")
    bars = [("1 row, of what memory allows", 1, MEMORY, decoding, MIN_OF_BOUND)]
    for rows, least in MIN_OF_TRANSFORMERS.items():
        bars.append((f"8 rows, of transformers with {rows}", 8, f"{TRANSFORMERS} {rows}", whole, least))
    bars.append(("8 rows, of onnxruntime-genai with 8", 8, f"{GENAI} 8", whole, MIN_OF_GENAI))
    met = []
    for what, rows, reference, figure, least in bars:
        sleeping, spinning = (rounds.ratio(f"{ours} {rows}", reference, figure) for ours in (OURS, SPINNING))
        print(f"{what}, threads that sleep: {sleeping}")
        met.append(say(f"{what}, threads that spin", str(spinning), spinning.median >= least, f"≥ {least:g}"))
    return all(met)


def check_gaps(ours: Worker, num_rounds: int) -> bool:
    """Streams beside which long prompts arrive. True if the bar is met."""
    alone = [ours.ask("gaps", arrivals=False, seed=10_000_000 + turn) for turn in range(num_rounds)]
    beside = [ours.ask("gaps", arrivals=True, seed=20_000_000 + turn) for turn in range(num_rounds)]
    ratio = statistics.median(b["p99"] / a["median"] for a, b in zip(alone, beside, strict=True))
    medians = [statistics.median(each["median"] for each in found) for found in (alone, beside)]
    p99 = statistics.median(each["p99"] for each in beside)
    print(
        f"\nfour streams: {medians[0]:.1f} ms a token; while prompts of 512 tokens arrive {medians[1]:.1f} "
        f"(p99 {p99:.1f})"
    )
    return say(
        "p99 of a token's time with arrivals, of the median without", f"{ratio:.2f}", ratio <= MAX_GAP_RATIO, "≤ 3"
    )


def check_waiting(ours: Worker, num_rounds: int) -> bool:
    """Eight streams while others wait. True if waiting ones cost nothing."""
    found: dict[int, list[float]] = {num_waiting: [] for num_waiting in WAITING}
    for turn in range(num_rounds):
        for num_waiting, steps in found.items():
            steps.append(ours.ask("step", num_waiting=num_waiting, num_tokens=48, seed=30_000_000 + turn))
    few, many = (statistics.median(steps) for steps in found.values())
    print(f"\neight streams: {few:.1f} ms a step, {many:.1f} ms with {WAITING[1]:,} requests in line")
    return say("a step with a long line, of one without", f"{many / few:.2f}", many / few <= MAX_WAITING_RATIO, "≤ 1.1")


def tell_prefixes(ours: Worker, num_rounds: int) -> None:
    """What it saves that a prompt begins like one before."""
    found = [
        [ours.ask("first_token", is_shared=is_shared, seed=40_000_000 + turn) for turn in range(num_rounds)]
        for is_shared in (True, False)
    ]
    shared, own = (statistics.median(times) for times in found)
    print(
        f"\nfirst token after a prompt of 544 tokens: {own:.0f} ms; {shared:.0f} ms where 512 of them are those of a "
        f"prompt before ({shared / own:.2f} of it)"
    )


def say(what: str, figure: str, is_met: bool, bar: str) -> bool:
    print(f"{what}: {figure}  bar {bar}  {'met' if is_met else 'MISSED'}")
    return is_met


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.generation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    num_rounds = parser.parse_args(arguments).rounds
    print(describe_machine())
    with open_workers() as (workers, num_bytes):
        tokens = {engine: workers[engine].ask("tokens", seed=0) for engine in ENGINES}
        agreed = all(each == tokens[OURS] for each in tokens.values())
        print(f"greedy tokens of all engines are {'the same' if agreed else 'NOT the same'}")
        met = [
            check_rates(measure_rates(workers, num_bytes, num_rounds)),
            check_gaps(workers[OURS], num_rounds),
            check_waiting(workers[OURS], num_rounds),
        ]
        tell_prefixes(workers[OURS], num_rounds)
    return 0 if agreed and all(met) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
