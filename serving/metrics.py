"""The Prometheus metrics of the project: names, labels, help, and how plain numbers become them at a scrape.

Requests touch no metric object: the event loop writes plain numbers (statistics.py) and this collector reads them when
somebody asks. Labels are bounded: model and version come from what is configured, never from a request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from serving.access.access_metrics import access_metrics
from serving.access.counts import AccessCounts
from serving.capture.capture_metrics import capture_metrics
from serving.capture.statistics import CaptureStatistics
from serving.challenger.challenger_metrics import challenger_metrics
from serving.challenger.statistics import ChallengerStatistics
from serving.drift_metrics import drift_metrics
from serving.feedback.feedback_metrics import feedback_metrics
from serving.feedback.statistics import FeedbackStatistics
from serving.generation.statistics import GenerationStatistics
from serving.generation_metrics import generation_metrics
from serving.metric_families import MODEL_LABELS, add_histogram, counter, gauge, histogram
from serving.metric_series import NamedSeries, Series
from serving.served import Served
from serving.statistics import ModelStatistics

STAGES = ("decode", "queue", "compute", "encode", "total")
MAX_REASON = 200
CODES = {"http": ("200", "500", "503", "504"), "grpc": ("OK", "INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED")}
NO_REQUESTS = {(protocol, code): 0 for protocol, codes in CODES.items() for code in codes}
"""Shown of every version from the start, faults too: a counter that begins at 1 has not grown, as rules see it."""
MAX_RETIRED = 4
"""Versions of one model that are not served any more and still shown, so that no last scrape is lost."""


@dataclass(eq=False)
class Metrics:
    """The numbers of one server. Also counts requests that concern no known model."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    states: Callable[[], Iterable[tuple[str, str, str]]] = tuple
    """(model, state, reason) of everything configured; set by the host."""
    access: AccessCounts = field(default_factory=AccessCounts)
    challengers: ChallengerStatistics = field(default_factory=ChallengerStatistics)
    feedback: FeedbackStatistics = field(default_factory=FeedbackStatistics)
    capture: CaptureStatistics = field(default_factory=CaptureStatistics)
    registry_up: bool = True
    """Did the registry answer when it was last asked?"""

    def __post_init__(self) -> None:
        self._series: dict[tuple[str, str], Series] = {}
        self._other_requests: dict[tuple[str, str], int] = {}
        self._load_failures: dict[str, int] = {}
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def for_model(self, name: str, version: str, batch_buckets: Iterable[int]) -> ModelStatistics:
        """The numbers of one version; the same ones again if it was served before."""
        if (name, version) not in self._series:
            bounds = tuple(float(bucket) for bucket in batch_buckets)
            self._series[name, version] = Series(ModelStatistics(bounds))
        return self._series[name, version].statistics

    def for_generation(self, name: str, version: str, num_slots: int) -> GenerationStatistics:
        """More numbers, of a version that generates and is known to `for_model`; the same ones again as there."""
        series = self._series[name, version]
        if series.generation is None:
            series.generation = GenerationStatistics(num_slots)
        series.generation.num_slots = num_slots
        return series.generation

    def serve(self, model: Served) -> None:
        """This version answers from now on."""
        self._series[model.name, model.version].served = model

    def retire(self, name: str, version: str) -> None:
        """This version answers no more. Its counters stay for a while, those of long ago go."""
        series = self._series.pop((name, version))
        series.served = None
        self._series[name, version] = series
        retired = [key for key, one in self._series.items() if key[0] == name and one.served is None]
        for key in retired[:-MAX_RETIRED]:
            del self._series[key]

    def load_failed(self, name: str) -> None:
        """A version of a configured model could not be brought into service."""
        self._load_failures[name] = self._load_failures.get(name, 0) + 1

    def request_without_model(self, protocol: str, code: str) -> None:
        """A request that named no known model, or none at all."""
        key = protocol, code
        self._other_requests[key] = self._other_requests.get(key, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """Called by the exposition for every scrape, on its own thread."""
        series = [(*key, one) for key, one in list(self._series.items())]
        yield self._requests(series)
        yield from request_metrics(series)
        yield from batch_metrics(series)
        yield from state_metrics(series)
        yield from engine_metrics(series)
        yield from drift_metrics(series)
        yield from generation_metrics(series)
        yield from challenger_metrics(self.challengers)
        yield from access_metrics(self.access)
        yield from feedback_metrics(self.feedback)
        yield from capture_metrics(self.capture)
        yield from self._model_states()
        up = gauge("registry_up", "1 while the registry answers; models are served either way.", ())
        up.add_metric((), float(self.registry_up))
        yield up
        failures = counter("model_load_failures", "Versions that could not be brought into service.", ("model",))
        for name in {name for name, _, _ in self.states()} | set(self._load_failures):
            failures.add_metric((name,), self._load_failures.get(name, 0))
        yield failures

    def _requests(self, series: Sequence[NamedSeries]) -> Metric:
        metric = counter("requests", "Requests answered, by protocol and code.", (*MODEL_LABELS, "protocol", "code"))
        for name, version, one in series:
            for (protocol, code), count in (NO_REQUESTS | one.statistics.requests).items():
                metric.add_metric((name, version, protocol, code), count)
        for (protocol, code), count in list(self._other_requests.items()):
            metric.add_metric(("", "", protocol, code), count)
        return metric

    def _model_states(self) -> Iterator[Metric]:
        ready = gauge("model_ready", "1 for a model that answers.", ("model",))
        info = gauge("model_state_info", "State of each model, and why.", ("model", "state", "reason"))
        # Several references of one model may be configured, and a series is shown once.
        states = {(name, state, reason[:MAX_REASON]) for name, state, reason in self.states()}
        answering = {name for name, state, _ in states if state == "READY"}
        for name in sorted({name for name, _, _ in states}):
            ready.add_metric((name,), float(name in answering))
        for labels in sorted(states):
            info.add_metric(labels, 1)
        yield from (ready, info)


def request_metrics(series: Sequence[NamedSeries]) -> Iterator[Metric]:
    stages = histogram("stage_seconds", "Time of one request in each stage.", (*MODEL_LABELS, "stage"))
    for name, version, one in series:
        for stage in STAGES:
            add_histogram(stages, (name, version, stage), getattr(one.statistics, stage))
    yield stages
    for attribute, help_text in (
        ("refused", "Requests refused because the queue was full."),
        ("cancelled", "Items whose caller left before they were computed."),
        ("expired", "Items whose deadline passed before they were computed."),
    ):
        metric = counter(f"items_{attribute}", help_text)
        for name, version, one in series:
            metric.add_metric((name, version), getattr(one.statistics, f"num_{attribute}"))
        yield metric


def batch_metrics(series: Sequence[NamedSeries]) -> Iterator[Metric]:
    sizes = histogram("batch_size", "Real rows of each batch that was run.")
    rows = counter("batch_rows", "Real rows computed.")
    padding = counter("batch_padding", "Rows computed only to fill a batch.")
    for name, version, one in series:
        add_histogram(sizes, (name, version), one.statistics.batch_size)
        rows.add_metric((name, version), one.statistics.num_rows)
        padding.add_metric((name, version), one.statistics.num_padding_rows)
    yield from (sizes, rows, padding)


def state_metrics(series: Sequence[NamedSeries]) -> Iterator[Metric]:
    depth = gauge("queue_depth", "Items that wait for the runtime, those being decoded included; prompts, for a slot.")
    in_flight = gauge("in_flight_requests", "Requests accepted and not yet answered.")
    info = gauge("model_info", "What is served; always 1.", (*MODEL_LABELS, "variant", "precision", "digest"))
    for name, version, one in series:
        if (model := one.served) is None:
            continue
        depth.add_metric((name, version), model.num_waiting)
        in_flight.add_metric((name, version), model.num_in_flight)
        precision = model.package.variant(model.variant).precision if model.package else ""
        digest = model.package.digest[:12] if model.package else ""
        info.add_metric((name, version, model.variant, precision, digest), 1)
    yield from (depth, in_flight, info)


def engine_metrics(series: Sequence[NamedSeries]) -> Iterator[Metric]:
    """Always there, so that an alarm may sum it: 0 where everything runs as it was asked to."""
    fallbacks = gauge("engine_fallbacks", "Graphs that ONNX Runtime runs because no TensorRT engine fits.")
    info = gauge(
        "engine_fallback_info", "Which graph has no engine, and why.", (*MODEL_LABELS, "variant", "role", "reason")
    )
    for name, version, one in series:
        if one.served is None:
            continue
        fallbacks.add_metric((name, version), len(one.statistics.engine_fallbacks))
        for each in one.statistics.engine_fallbacks:
            info.add_metric((name, version, each.variant, each.role, each.reason[:MAX_REASON]), 1)
    yield from (fallbacks, info)
