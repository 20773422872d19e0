"""The whole path of a request that is answered token by token: (decode → encode →) prompt → generator, then a look at
drift. The sibling of serving/served_model.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic, time

from registry.package import ModelPackage
from serving.asked import Asked
from serving.batch_plan import BatchPlan
from serving.batcher import Batcher
from serving.capture.item import ModelFacts
from serving.challenger.copies import PromptCopy, Tap
from serving.deadline import Deadline, within
from serving.drift_feed import DriftCounts, Observed, Watched
from serving.feedback.judge_text import TextJudge, remembered
from serving.generation.answering import Answering
from serving.generation.request import Constraint, GenerationRequest
from serving.generation.statistics import GenerationStatistics
from serving.generative_loader import LoadedGenerative
from serving.generator import Generator
from serving.lease import Leased
from serving.picture_stage import PictureStage
from serving.retirement import close_both
from serving.statistics import ModelStatistics
from serving.surroundings import Surroundings
from tasks.errors import Unsupported
from tasks.generation import Encoded, GenerativeTask, Prompt
from tasks.generation_params import GenerationParams


class GenerativeModel(Leased):
    """One version of one model, loaded and proved. Lives on one event loop."""

    def __init__(
        self,
        name: str,
        version: str,
        loaded: LoadedGenerative,
        statistics: ModelStatistics,
        generation: GenerationStatistics,
        surroundings: Surroundings,
    ) -> None:
        super().__init__()
        self.name, self.version, self.variant = name, version, loaded.variant
        self.package: ModelPackage = loaded.package
        self.task: GenerativeTask = loaded.graphs.task
        self.monitor = loaded.monitor
        self.statistics, self.generation = statistics, generation
        self.drift = DriftCounts()
        self.tap: Tap | None = None
        """Gets a copy of whatever was answered, if somebody wants that."""
        self._graphs, self._surroundings = loaded.graphs, surroundings
        self._loop = asyncio.get_running_loop()
        self._watched = Watched(self.monitor, self.drift)
        facts = ModelFacts.of(name, version, loaded.variant, self.task.spec)
        self._witness = surroundings.aftermath.witness(facts, TextJudge())
        self.generator = Generator(loaded.graphs.decoder, surroundings.generator_limits, generation)
        self._pictures = self._open_pictures(loaded.encoder_plan)

    @asynccontextmanager
    async def preparing(
        self, params: GenerationParams, deadline: Deadline, num_prompts: int = 1
    ) -> AsyncIterator[None]:
        """Around whatever must be worked out before `start`: it waits in line already, and the version is not closed.

        Raises TooLarge, Overloaded, DeadlineExceeded or NotReady, before anything is spent or when the time is up."""
        with self.lease():
            async with self.generator.preparing(num_prompts * params.num_slots, deadline):
                yield

    async def encode(self, payload: bytes, deadline: Deadline) -> Encoded:
        """An encoded picture and what the encoder made of it, for `task.prompt_of` and for `start`: all of that under
        one lease, which is the caller's.

        Raises BadInput or TooLarge for the picture, Unsupported where the model takes none; Overloaded,
        DeadlineExceeded or NotReady."""
        if self._pictures is None:
            raise Unsupported(f"model {self.name!r} continues text; it takes no pictures")
        async with within(deadline):
            return await self._pictures.run(payload, deadline)

    async def start(
        self,
        prompt: Prompt,
        params: GenerationParams,
        deadline: Deadline,
        encoded: Encoded | None = None,
        asked: Asked | None = None,
    ) -> Answering:
        """Begin to answer; the version is not closed before that has ended. `encoded`: what the prompt was made of;
        `asked`: as it came, None where nobody will hear the answer.

        Raises BadInput or TooLarge for what can not be generated so, a constraint among it; Unsupported, Overloaded,
        DeadlineExceeded or NotReady."""
        request = GenerationRequest(
            prompt=prompt,
            params=params,
            end_tokens=self.task.end_tokens,
            detokeniser=partial(self.task.detokeniser, prompt),
            constraint=await self._constraint(params, deadline),
            deadline=deadline,
        )
        answering = self.generator.submit(request)
        self.num_in_flight += 1
        answering.add_done_callback(partial(self._conclude, prompt, encoded, asked))
        return answering

    async def _constraint(self, params: GenerationParams, deadline: Deadline) -> Callable[[], Constraint] | None:
        """Compiled on a thread: that may take half a second."""
        if not params.is_constrained:
            return None
        async with self.preparing(params, deadline):
            return await self._surroundings.decode_pool.run(partial(self._graphs.constraints.compile, params))

    def _conclude(self, prompt: Prompt, encoded: Encoded | None, asked: Asked | None, answering: Answering) -> None:
        """It has ended, however. What was answered is looked at on the loop's next turn, when it is on its way."""
        self.num_in_flight -= 1
        if answering.is_answered:
            self.statistics.last_inference_ms = int(time() * 1000)
            best = max(answering.answers, key=lambda answer: answer.score)
            observed = Observed(self._watched, partial(self.task.signals, prompt, best, encoded))
            self._loop.call_soon(self._surroundings.drift_feed.offer, [observed])
            if asked is not None:
                ranked = sorted(answering.answers, key=lambda answer: answer.score, reverse=True)
                said, conclude = remembered(best.text), partial(self.task.finish, ranked)
                self._witness.answered(asked, answering.request.params, said, conclude)
            if self.tap is not None:
                payload, seconds = b"" if encoded is None else encoded.payload, monotonic() - answering.arrived_at
                copy = PromptCopy(prompt, answering.request.params, payload, answering.answers[0], seconds)
                self._loop.call_soon(self.tap, copy)

    @property
    def num_waiting(self) -> int:
        """Prompts that wait for a slot, and pictures that wait for the encoder."""
        return self.generator.num_waiting + (0 if self._pictures is None else self._pictures.batcher.num_waiting_rows)

    @property
    def ailment(self) -> str:
        """Nothing: all that it needs is in this process."""
        return ""

    def stalled_s(self) -> float:
        """For how long the decoder, or the encoder, has been at its current run."""
        return max(self.generator.stalled_s(), 0.0 if self._pictures is None else self._pictures.batcher.stalled_s())

    async def retire(self, timeout_s: float) -> None:
        """Wait until all streams have ended, but not longer than `timeout_s`, then free what this version holds."""
        await self.until_returned(timeout_s)
        whose, graphs = f"of {self.name}/{self.version}", self._graphs
        await close_both(self.generator, graphs.decoder.close, f"the decoder {whose}")
        if self._pictures is not None and graphs.encoder is not None:
            await close_both(self._pictures.batcher, graphs.encoder.close, f"the encoder {whose}")

    def _open_pictures(self, plan: BatchPlan | None) -> PictureStage | None:
        """What comes before the prompt, where the task has that."""
        encoder, runtime, around = self.task.encoder, self._graphs.encoder, self._surroundings
        if encoder is None or runtime is None or plan is None:
            return None
        batcher = Batcher(runtime, plan, around.limits, self.statistics)
        return PictureStage(encoder, batcher, self.statistics, around.decode_pool, around.max_pixels)
