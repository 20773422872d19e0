"""Traces on their way to a collector by OTLP over HTTP. The only file that imports OpenTelemetry.

The SDK's own variables hold (OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES, …); where to is this server's
setting. It sends from a thread of its own, in batches, and drops what a collector that is away does not take.
"""

from __future__ import annotations

from importlib.metadata import version
from time import monotonic, time_ns

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from serving.tracing.trace import Trace

SEND_TIMEOUT_S = 5
FIRST_FAULT = 500
"""HTTP statuses from here on are the server's fault, and gRPC's that mean the same."""


class ChosenIds(RandomIdGenerator):
    """Gives the next span the ids that its request has been known by since it came in, here and where it was handed on
    to. Spans below it get any."""

    def __init__(self) -> None:
        self.next_trace_id = self.next_span_id = 0

    def generate_trace_id(self) -> int:
        return self.next_trace_id

    def generate_span_id(self) -> int:
        chosen, self.next_span_id = self.next_span_id, 0
        return chosen or super().generate_span_id()


class OtlpSink:
    """See TraceSink. `url`: of the collector's traces, such as http://collector:4318/v1/traces."""

    def __init__(self, url: str) -> None:
        resource = Resource.create({SERVICE_NAME: "tidegate", SERVICE_VERSION: version("tidegate")})
        self._ids = ChosenIds()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, id_generator=self._ids, shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(endpoint=url, timeout=SEND_TIMEOUT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("tidegate")

    def take(self, trace: Trace, ended_at: float) -> None:
        """One span for the request, and one below it for each of its stages."""
        # Clocks are compared now, and not once for all: the wall clock is set now and then.
        epoch_ns = time_ns() - round(monotonic() * 1e9)
        self._ids.next_trace_id, self._ids.next_span_id = int(trace.trace_id, 16), int(trace.span_id, 16)
        span = self._tracer.start_span(
            trace.name,
            context=caller_context(trace),
            kind=SpanKind.SERVER,
            attributes=trace.attributes,
            start_time=epoch_ns + round(trace.began_at * 1e9),
        )
        status = trace.attributes.get("http.response.status_code", 0)
        if isinstance(status, int) and status >= FIRST_FAULT:
            span.set_status(Status(StatusCode.ERROR))
        inside = api.set_span_in_context(span)
        for stage in trace.stages:
            part = self._tracer.start_span(stage.name, inside, start_time=epoch_ns + round(stage.began_at * 1e9))
            part.end(epoch_ns + round(stage.ended_at * 1e9))
        span.end(epoch_ns + round(ended_at * 1e9))

    def close(self) -> None:
        self._provider.shutdown()


def caller_context(trace: Trace) -> Context:
    """What the request's span is a child of: the caller's, or nothing."""
    if not trace.parent_id:
        return Context()
    known = SpanContext(
        int(trace.trace_id, 16), int(trace.parent_id, 16), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
    return api.set_span_in_context(NonRecordingSpan(known), Context())
