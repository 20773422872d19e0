"""What happened to the requests of one model version, as plain numbers.

Only the event loop writes here, so nothing is locked and an observation costs a fraction of a microsecond; a scrape
reads whatever is there. `serving/metrics.py` gives the numbers their Prometheus names.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from time import time
from typing import NamedTuple

from serving.engine_fallback import EngineFallback

STAGE_BOUNDS_S = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
OK_CODES = frozenset({"200", "OK"})


class Exemplar(NamedTuple):
    """One request of a bucket that can be looked at: its trace, its value, and when it was seen, in seconds since the
    epoch."""

    trace_id: str
    value: float
    at: float


class Histogram:
    """Counts of values in fixed buckets: `counts[i]` of values ≤ bounds[i] and above the bound before; one more
    bucket for everything larger. `exemplars`: of some buckets, the latest request that was followed."""

    __slots__ = ("bounds", "counts", "exemplars", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.exemplars: dict[int, Exemplar] = {}

    def observe(self, value: float, trace_id: str = "") -> None:
        bucket = bisect_left(self.bounds, value)
        self.counts[bucket] += 1
        self.total += value
        if trace_id:
            self.exemplars[bucket] = Exemplar(trace_id, value, time())

    @property
    def count(self) -> int:
        return sum(self.counts)


@dataclass
class Tally:
    """How often, and how long in all."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds

    @property
    def ns(self) -> int:
        return round(self.seconds * 1e9)


def stage() -> Histogram:
    return Histogram(STAGE_BOUNDS_S)


@dataclass
class ModelStatistics:
    """One model version. Stages are in seconds per request; `compute` is the whole batch that a request was part of.

    `encode` is outputs → answer: post-processing for encoded pictures, serialisation for tensors.
    """

    batch_bounds: tuple[float, ...]
    decode: Histogram = field(default_factory=stage)
    queue: Histogram = field(default_factory=stage)
    compute: Histogram = field(default_factory=stage)
    encode: Histogram = field(default_factory=stage)
    total: Histogram = field(default_factory=stage)
    requests: dict[tuple[str, str], int] = field(default_factory=dict)
    """(protocol, code) → requests answered."""
    success: Tally = field(default_factory=Tally)
    fail: Tally = field(default_factory=Tally)
    batch_size: Histogram = field(init=False)
    """Rows of real requests per execution."""
    executions: dict[int, Tally] = field(default_factory=dict)
    """Bucket → how often the runtime ran it and for how long."""
    num_rows: int = 0
    num_padding_rows: int = 0
    num_cancelled: int = 0
    """Items whose caller left before they were computed."""
    num_expired: int = 0
    num_refused: int = 0
    engine_fallbacks: tuple[EngineFallback, ...] = ()
    """Graphs that ONNX Runtime executes because no engine fits."""
    last_inference_ms: int = 0
    """Milliseconds since the epoch, as clients of the statistics call expect; 0 = never."""

    def __post_init__(self) -> None:
        self.batch_size = Histogram(self.batch_bounds)

    def request(self, protocol: str, code: str, seconds: float, trace_id: str = "") -> None:
        """One answered request: `protocol` http or grpc, `code` 200, 404, OK, NOT_FOUND, …, measured from arrival.
        `trace_id`: of one that is followed."""
        key = protocol, code
        self.requests[key] = self.requests.get(key, 0) + 1
        self.total.observe(seconds, trace_id)
        (self.success if code in OK_CODES else self.fail).add(seconds)

    def execution(self, num_rows: int, bucket: int, seconds: float) -> None:
        """One run of the graph over `num_rows` real rows, padded to `bucket`."""
        self.batch_size.observe(num_rows)
        self.num_rows += num_rows
        self.num_padding_rows += bucket - num_rows
        tally = self.executions.get(bucket)
        if tally is None:
            tally = self.executions[bucket] = Tally()
        tally.add(seconds)
        self.last_inference_ms = int(time() * 1000)

    @property
    def num_executions(self) -> int:
        return sum(tally.count for tally in self.executions.values())
