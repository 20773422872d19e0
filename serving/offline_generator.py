"""A model that generates, without a server: for a folder of files, a notebook, MLflow. Its callers wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from serving.deadline import Deadline
from serving.generation.answering import Answering
from serving.generation.request import GenerationRequest
from serving.generation.self_test import payload_prompt
from serving.generation.statistics import GenerationStatistics
from serving.generative_loader import GenerativeGraphs
from serving.generator import Generator, GeneratorLimits
from tasks.errors import TidegateError
from tasks.generation import Prompt
from tasks.generation_params import GenerationParams
from tasks.task import Prediction

CLOSE_TIMEOUT_S = 5.0
UNBOUNDED = GeneratorLimits(max_queue=2**31)
"""Callers hand over as much as they have: nobody is told to come back."""
Result = TypeVar("Result")


class OfflineGenerator:
    """Runs the generator on an event loop of its own, so that it may be called from any thread, also from one that has
    a loop. Owns `graphs` from now on."""

    def __init__(self, graphs: GenerativeGraphs) -> None:
        self.task = graphs.task
        self.num_slots = graphs.decoder.num_slots
        self._graphs = graphs
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="offline", daemon=True)
        self._thread.start()
        self._generator = self._wait(self._open())

    def predict(self, payloads: Sequence[bytes], params: GenerationParams) -> list[Prediction | TidegateError]:
        """Texts in UTF-8, or encoded pictures → for each the task's prediction, or why there is none."""
        return self._wait(self._predict(payloads, params))

    def close(self) -> None:
        if self._wait(self._generator.close(CLOSE_TIMEOUT_S)):
            self._graphs.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> Generator:
        return Generator(self._graphs.decoder, UNBOUNDED, GenerationStatistics(self.num_slots))

    async def _predict(self, payloads: Sequence[bytes], params: GenerationParams) -> list[Prediction | TidegateError]:
        started = [self._start(payload, params) for payload in payloads]
        return [await self._answered(each) for each in started]

    def _start(self, payload: bytes, params: GenerationParams) -> Answering | TidegateError:
        try:
            prompt = payload_prompt(self.task, payload, self._graphs.encoder)
            return self._generator.submit(self._request(prompt, params))
        except TidegateError as error:
            return error

    def _request(self, prompt: Prompt, params: GenerationParams) -> GenerationRequest:
        return GenerationRequest(
            prompt=prompt,
            params=params,
            end_tokens=self.task.end_tokens,
            detokeniser=lambda: self.task.detokeniser(prompt),
            constraint=self._graphs.constraints.compile(params),
            deadline=Deadline(),
        )

    async def _answered(self, started: Answering | TidegateError) -> Prediction | TidegateError:
        if isinstance(started, TidegateError):
            return started
        try:
            answers = await started.wait()
        except TidegateError as error:
            return error
        return self.task.finish(sorted(answers, key=lambda answer: answer.score, reverse=True))
