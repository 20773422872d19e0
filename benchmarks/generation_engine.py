"""Our generator over the decoder of a checkpoint, in this process: what the benchmark of generation asks of it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.generation_peers import Tokens
from benchmarks.language_model import CONTEXT, VOCABULARY
from serving.generation.answering import Answering
from serving.generation.graph_decoder import GraphDecoder
from serving.generation.request import GenerationRequest
from serving.generation.statistics import GenerationStatistics
from serving.generator import Generator, GeneratorLimits
from serving.runtimes.compute_threads import Between, ComputeThreads
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.generation import Prompt
from tasks.generation_params import GenerationParams

NUM_SLOTS = 8
LONG_PROMPT = 512
SETTLING_TOKENS = 8
"""Of each stream, before anything is timed."""


class Silent:
    """A detokeniser for ids that mean nothing."""

    def push(self, token: int) -> str:
        return ""

    def flush(self) -> str:
        return ""


class Engine:
    """`Generator` over a `GraphDecoder` of `NUM_SLOTS` slots."""

    def __init__(self, checkpoint: Path, num_threads: int, between_operators: Between) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write_graphs(checkpoint, folder)
            runtimes = [
                OnnxRuntime(folder / f"{role}.onnx", threads=ComputeThreads(num_threads, between_operators))
                for role in ("decoder", "copy")
            ]
        self._decoder = GraphDecoder(runtimes[0], runtimes[1], NUM_SLOTS, CONTEXT)
        self._loop = asyncio.new_event_loop()
        self.statistics = GenerationStatistics(NUM_SLOTS)
        self._generator = self._loop.run_until_complete(self._open())

    async def _open(self) -> Generator:
        return Generator(self._decoder, GeneratorLimits(max_queue=100_000), self.statistics)

    def generate(self, prompts: Tokens, num_new: int) -> Tokens:
        """[rows, num_new], every row a request of its own."""

        async def answer() -> Tokens:
            requests = [self._submit(row.tolist(), num_new) for row in prompts]
            answers = [await request.wait() for request in requests]
            return np.array([generated[0].tokens for generated in answers], np.int64)

        return self._loop.run_until_complete(answer())

    def token_gaps_s(self, num_streams: int, num_tokens: int, arrivals: bool, seed: int) -> NDArray[np.float64]:
        """Seconds from token to token of streams; with `arrivals`, while prompts of `LONG_PROMPT` tokens keep coming,
        one as soon as the one before has its answer of eight tokens."""

        async def measure() -> NDArray[np.float64]:
            rng = np.random.default_rng(seed)
            streams = [self._submit(draw(rng, 32), num_tokens) for _ in range(num_streams)]
            times = [asyncio.ensure_future(token_times(stream)) for stream in streams]
            while arrivals and not times[0].done():
                await self._submit(draw(rng, LONG_PROMPT), 8).wait()
            return np.concatenate([np.diff(await stream)[SETTLING_TOKENS:] for stream in times])

        return self._loop.run_until_complete(measure())

    def step_ms(self, num_waiting: int, num_tokens: int, seed: int) -> float:
        """Wall milliseconds of one token of all running streams while `num_waiting` more requests wait."""

        async def measure() -> float:
            rng = np.random.default_rng(seed)
            streams = [self._submit(draw(rng, 32), num_tokens) for _ in range(NUM_SLOTS)]
            for stream in streams:
                await anext(stream)
            waiting = [self._submit(draw(rng, 32), num_tokens) for _ in range(num_waiting)]
            times = await token_times(streams[0])
            for request in (*waiting, *streams):
                request.cancel()
            return float(np.median(np.diff(times)[SETTLING_TOKENS:])) * 1000

        return self._loop.run_until_complete(measure())

    def first_token_ms(self, is_shared: bool, seed: int) -> float:
        """Wall milliseconds to the first token of a prompt that begins with `LONG_PROMPT` tokens: those of a prompt
        answered just before where `is_shared`, others where not. 32 more follow that are its own."""

        async def measure() -> float:
            rng = np.random.default_rng(seed)
            prefix = draw(rng, LONG_PROMPT)
            await self._submit(prefix + draw(rng, 32), 1).wait()
            prompt = (prefix if is_shared else draw(rng, LONG_PROMPT)) + draw(rng, 32)
            started_at = perf_counter()
            await self._submit(prompt, 1).wait()
            return (perf_counter() - started_at) * 1000

        return self._loop.run_until_complete(measure())

    def _submit(self, tokens: Sequence[int], num_new: int) -> Answering:
        params = GenerationParams(temperature=0.0, max_tokens=num_new)
        return self._generator.submit(GenerationRequest(Prompt(tuple(tokens)), params, frozenset(), Silent))


async def token_times(stream: Answering) -> NDArray[np.float64]:
    """When each token came, in seconds."""
    return np.array([perf_counter() async for delta in stream if delta.tokens])


def draw(rng: np.random.Generator, length: int) -> list[int]:
    """A prompt that no other begins like."""
    tokens: list[int] = rng.integers(3, VOCABULARY, length).tolist()
    return tokens


def write_graphs(checkpoint: Path, folder: Path) -> None:
    """decoder.onnx and copy.onnx of a checkpoint of `transformers`."""
    from export.generative.transformers_llama import open_llama
    from export.graphs.decoder_graph import copy_graph, decoder_graph
    from export.graphs.graph_builder import save_graph
    from export.graphs.graph_form import GraphForm

    network, _ = open_llama(checkpoint, CONTEXT)
    graph = decoder_graph(network, GraphForm(context=CONTEXT))
    save_graph(graph, folder / "decoder.onnx")
    save_graph(copy_graph(graph), folder / "copy.onnx")
