"""The way of one encoded picture through decoding and a batched run of a graph: all that a classifier does before it
concludes, and what a model that describes pictures does before it generates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic

from serving.batcher import Batcher
from serving.deadline import Deadline
from serving.statistics import ModelStatistics
from serving.tracing.trace import CURRENT_TRACE, note_stage
from serving.workers import DecodePool
from tasks.generation import Encoded, Encoder
from tasks.task import Array, Sample


@dataclass(frozen=True, slots=True)
class PictureStage:
    """`task`: what decodes and prepares; `batcher`: what runs the graph."""

    task: Encoder
    batcher: Batcher
    statistics: ModelStatistics
    pool: DecodePool
    max_pixels: int

    async def run(self, payload: bytes, deadline: Deadline) -> Encoded:
        """A picture and the graph's outputs for it, without batch axis.

        Raises BadInput or TooLarge for the picture; Overloaded, DeadlineExceeded or NotReady."""
        arrived_at = monotonic()
        self.batcher.reserve(1)
        try:
            sample, tensors = await self.pool.run(partial(self._decode, payload))
        finally:
            self.batcher.unreserve(1)
        decoded_at = monotonic()
        self.statistics.decode.observe(decoded_at - arrived_at)
        note_stage(CURRENT_TRACE.get(), "decode", arrived_at, decoded_at)
        batched = await self.batcher.infer({name: array[None] for name, array in tensors.items()}, 1, deadline)
        return Encoded(sample, tensors, row_of(batched, 0), payload)

    def _decode(self, payload: bytes) -> tuple[Sample, dict[str, Array]]:
        sample = self.task.sample_from_bytes(payload, self.max_pixels)
        return sample, self.task.preprocess(sample)


def row_of(batch: Mapping[str, Array], row: int) -> dict[str, Array]:
    """One item of a batch, without batch axis."""
    return {name: array[row] for name, array in batch.items()}
