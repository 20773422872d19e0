"""The whole path of a request on one screen: decode → queue → compute → post-process, then a look at drift."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import TypeVar

from registry.package import ModelPackage
from serving.asked import Asked
from serving.batcher import Batcher, gather_or_cancel
from serving.capture.item import ModelFacts
from serving.challenger.copies import PictureCopy, Tap, TensorCopy
from serving.deadline import Deadline, within
from serving.drift_feed import DriftCounts, Observed, Watched
from serving.feedback.judge import picture_judge
from serving.lease import Leased
from serving.logs import CURRENT_REQUEST
from serving.model_loader import LoadedModel
from serving.picture_stage import PictureStage, row_of
from serving.retirement import close_both, close_remote
from serving.runtimes.runtime import RemoteRuntime, Runtime
from serving.statistics import ModelStatistics
from serving.surroundings import Surroundings
from serving.tracing.trace import CURRENT_TRACE, note_stage
from tasks.task import Array, Observation, Params, Picture, Prediction, Sample, Task

Conclusion = TypeVar("Conclusion")
Conclude = Callable[[Mapping[str, Array], Sample, Params], Conclusion]
"""Outputs of one item → what is answered. Runs in the decode pool."""


class ServedModel(Leased):
    """One version of one model, loaded and proved. Lives on one event loop."""

    def __init__(
        self, name: str, version: str, loaded: LoadedModel, statistics: ModelStatistics, surroundings: Surroundings
    ) -> None:
        super().__init__()
        self.name, self.version, self.variant = name, version, loaded.variant
        self.package: ModelPackage = loaded.package
        self.task: Task = loaded.task
        self.runtime: Runtime = loaded.runtime
        self.plan = loaded.plan
        self.monitor = loaded.monitor
        self.statistics = statistics
        self.batcher = Batcher(loaded.runtime, loaded.plan, surroundings.limits, statistics)
        self._pictures = PictureStage(
            self.task, self.batcher, statistics, surroundings.decode_pool, surroundings.max_pixels
        )
        self.drift = DriftCounts()
        self.tap: Tap | None = None
        """Gets a copy of whatever was answered, if somebody wants that."""
        self._surroundings = surroundings
        self._watched = Watched(self.monitor, self.drift)
        self._witness = surroundings.aftermath.picture_witness(
            ModelFacts.of(name, version, loaded.variant, self.task.spec),
            picture_judge(self.task.spec, surroundings.max_pixels),
        )
        # Defaults: what a caller asks to see must not change what is watched.
        self._signals = partial(signals_of, self.task, self.task.parse_params({}))

    @property
    def num_waiting(self) -> int:
        """Pictures that wait for the runtime, those being decoded included."""
        return self.batcher.num_waiting_rows

    @property
    def ailment(self) -> str:
        """Why the runtime can not answer; empty when it can."""
        return self.runtime.ailment if isinstance(self.runtime, RemoteRuntime) else ""

    def stalled_s(self) -> float:
        """For how long the runtime has been at its current batch."""
        return self.batcher.stalled_s()

    async def predict(self, payload: bytes, params: Params, deadline: Deadline, index: int = 0) -> Prediction:
        """An encoded picture, the request's `index`th, → the task's prediction in original pixels.

        Raises BadInput or TooLarge for the picture; Overloaded, DeadlineExceeded or NotReady.
        """
        asked = Asked.now(index, picture=payload)
        prediction, said = await self.answer(payload, params, deadline, self._conclude)
        self._witness.answered(asked, params, said, prediction)
        return prediction

    async def draw(self, payload: bytes, params: Params, deadline: Deadline) -> Picture:
        """An encoded picture → the task's prediction as a picture, for params that want one. Raises as `predict`."""

        def conclude(
            outputs: Mapping[str, Array], sample: Sample, params: Params
        ) -> tuple[Picture, Prediction, object]:
            prediction, said = self._conclude(outputs, sample, params)
            return self.task.draw(payload, prediction, params, self._surroundings.max_pixels), prediction, said

        asked = Asked.now(0, picture=payload)
        picture, prediction, said = await self.answer(payload, params, deadline, conclude)
        self._witness.answered(asked, params, said, prediction)
        return picture

    def _conclude(self, outputs: Mapping[str, Array], sample: Sample, params: Params) -> tuple[Prediction, object]:
        """The prediction, and what is remembered of it until somebody tells what would have been right."""
        prediction = self.task.decode_output(outputs, sample, params)
        return prediction, self._witness.recall(outputs, sample, prediction)

    async def answer(
        self, payload: bytes, params: Params, deadline: Deadline, conclude: Conclude[Conclusion]
    ) -> Conclusion:
        """The way of one picture, while this version can not be closed and no longer than the deadline. Raises as
        `predict`."""
        with self.lease():
            async with within(deadline):
                return await self._compute(payload, params, deadline, conclude)

    async def _compute(
        self, payload: bytes, params: Params, deadline: Deadline, conclude: Conclude[Conclusion]
    ) -> Conclusion:
        began_at = monotonic()
        seen = await self._pictures.run(payload, deadline)
        computed_at = monotonic()
        conclusion = await self._surroundings.decode_pool.run(partial(conclude, seen.outputs, seen.sample, params))
        concluded_at = monotonic()
        self.statistics.encode.observe(concluded_at - computed_at)
        note_stage(CURRENT_TRACE.get(), "encode", computed_at, concluded_at)
        self._watch([Observed(self._watched, partial(self._signals, seen.sample, seen.tensors, seen.outputs))])
        if self.tap is not None:
            copy = PictureCopy(payload, params, seen.sample, seen.outputs, monotonic() - began_at)
            self.batcher.loop.call_soon(self.tap, copy)
        return conclusion

    async def predict_many(self, payloads: Sequence[bytes], params: Params, deadline: Deadline) -> list[Prediction]:
        """Several pictures at once, answered in order; all gather in the batcher. The first failure fails all."""
        if len(payloads) == 1:
            return [await self.predict(payloads[0], params, deadline)]
        # Before anything is spent on them: a body may hold millions of empty "pictures".
        self.batcher.refuse_excess(len(payloads))
        return await gather_or_cancel(
            [self.predict(payload, params, deadline, index) for index, payload in enumerate(payloads)]
        )

    async def infer(
        self, tensors: Mapping[str, Array], deadline: Deadline, outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """The graph's own inputs [n, …], any n ≥ 1, already checked against `runtime.inputs` → its outputs [n, …].

        The arrays must not change until the answer has left. Raises Overloaded, DeadlineExceeded or NotReady.
        """
        num_rows, began_at = len(next(iter(tensors.values()))), monotonic()
        with self.lease():
            computed = await self.batcher.infer(tensors, num_rows, deadline)
        if room := min(num_rows, self._surroundings.drift_feed.room()):
            rows = [
                Observed(self._watched, partial(self._signals, None, row_of(tensors, row), row_of(computed, row)))
                for row in range(room)
            ]
            self._watch(rows)
        self.drift.dropped += num_rows - room
        if self._witness.wants_rows():
            self.batcher.loop.call_soon(self._witness.answered_rows, CURRENT_REQUEST.get(), computed)
        if self.tap is not None:
            self.batcher.loop.call_soon(self.tap, TensorCopy(tensors, computed, monotonic() - began_at))
        return dict(computed) if outputs is None else {name: computed[name] for name in outputs}

    def _watch(self, rows: Sequence[Observed]) -> None:
        """On the loop's next turn, when the answer has been handed to the network."""
        self.batcher.loop.call_soon(self._surroundings.drift_feed.offer, rows)

    async def retire(self, timeout_s: float) -> None:
        """Wait until nobody uses this version any more, but not longer than `timeout_s`, then free what it holds."""
        await self.until_returned(timeout_s)
        close = close_remote if isinstance(self.runtime, RemoteRuntime) else close_both
        await close(self.batcher, self.runtime.close, f"the runtime of {self.name}/{self.version}")


def signals_of(
    task: Task, params: Params, sample: Sample | None, tensors: Mapping[str, Array], outputs: Mapping[str, Array]
) -> dict[str, Observation]:
    """What monitoring watches of one picture. A client's own tensor has no sample yet."""
    seen = sample or task.sample_from_tensor(next(iter(tensors.values())))
    return task.signals(seen, tensors, outputs, task.decode_output(outputs, seen, params))
