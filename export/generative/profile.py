"""Signals of held-out prompts with the answers that a server would give them, for the reference profile.

The prompts go through the server's own generator, with the parameters of a request that names none: what live answers
are compared with was made in the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import msgspec

from export.generative.graph_speaker import GraphSpeaker
from export.generative.passage import Passage
from export.generative.speaker import open_prompt
from serving.generation.request import GenerationRequest
from serving.generation.statistics import GenerationStatistics
from serving.generator import Generator, GeneratorLimits
from tasks.generation import Encoded, GenerativeTask, Prompt
from tasks.generation_params import GenerationParams
from tasks.task import Observation
from training.progress import track

CLOSE_S = 60.0


def observe_answers(
    task: GenerativeTask, speaker: GraphSpeaker, passages: Sequence[Passage], seed: int
) -> list[dict[str, Observation]]:
    """The signals of every prompt and its best answer. Sampled answers differ from prompt to prompt, and are the same
    whenever this is done again."""
    opened = [open_prompt(task, passage.payload, speaker) for passage in passages]
    return asyncio.run(answer_all(task, speaker, opened, seed))


async def answer_all(
    task: GenerativeTask, speaker: GraphSpeaker, opened: Sequence[tuple[Prompt, Encoded | None]], seed: int
) -> list[dict[str, Observation]]:
    plain = task.parse_params({})
    num_slots = len(opened) * max(plain.n, plain.num_beams)
    statistics = GenerationStatistics(speaker.decoder.num_slots)
    generator = Generator(speaker.decoder, GeneratorLimits(max_queue=num_slots), statistics)
    try:
        answerings = [
            generator.submit(request_for(task, prompt, params))
            for (prompt, _), params in zip(opened, seeded(plain, seed), strict=False)
        ]
        found = []
        pairs = zip(opened, answerings, strict=True)
        for (prompt, encoded), answering in track(pairs, "answering for the profile", len(opened)):
            found.append(task.signals(prompt, (await answering.wait())[0], encoded))
        return found
    finally:
        await generator.close(CLOSE_S)


def request_for(task: GenerativeTask, prompt: Prompt, params: GenerationParams) -> GenerationRequest:
    return GenerationRequest(prompt, params, task.end_tokens, lambda: task.detokeniser(prompt))


def seeded(params: GenerationParams, seed: int) -> Iterator[GenerationParams]:
    """The same parameters without end, each with a seed of its own where they sample at all."""
    samples = not params.is_greedy and params.num_beams == 1
    while True:
        yield msgspec.structs.replace(params, seed=seed) if samples else params
        seed += 1
