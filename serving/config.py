"""The knobs of one deployment. They may cap a fact of a model, never restate it. config_sources.py says where they are
set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from registry.manifest import Name
from serving.engine_choice import EngineChoice, EngineName, Transport
from serving.engines.engine_key import BuildSettings, OptimizationLevel
from serving.runtimes.compute_threads import Between
from serving.runtimes.fp32_products import Fp32Products
from serving.upstream.declaration import Upstream

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Hours = Annotated[float, msgspec.Meta(gt=0, le=100_000)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
ShareOrNone = Annotated[float, msgspec.Meta(ge=0, le=1)]


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a deployment may choose. A port of 0 takes any free one."""

    # What is served
    models: tuple[str, ...] = ()
    """References: name, name@alias or name/version. None: every model that has a champion."""
    upstreams: dict[Name, Upstream] = {}
    """Models that another server runs, by the name that they have here."""
    variant: str = "auto"
    """A variant's name, or auto: the first that this host can run and whose gates passed."""
    engine: EngineName = "onnxruntime"
    """What executes graphs. tensorrt needs engines that `tidegate build-engines` made on this kind of GPU, triton a
    server at `triton_url`."""
    engine_cache: str = ""
    """Where built engines are; empty: the folder "engines" in `cache_dir`."""
    engine_optimization_level: OptimizationLevel = 3
    """How long TensorRT looks for fast kernels when it builds, 0 to 5."""
    fp32_products: Fp32Products = "fp32"
    """How a GPU multiplies numbers of 32 bits. tf32 is faster and rounds them to 10 bits of mantissa."""
    triton_url: str = ""
    """HOST:PORT of Triton's gRPC."""
    triton_in_flight: Positive = 32
    """Requests that Triton may have of one model at once. It batches what it has: at least its largest batch, times its
    instances."""
    triton_transport: Transport = "grpc"
    """shared_memory: pictures reach a Triton on this machine without passing through a socket."""
    swap: Literal["beside", "replace"] = "beside"
    """Load a new version beside the old one, or, where two do not fit, instead of it."""
    poll_interval_s: Seconds = 10.0
    challenger_share: ShareOrNone = 0.0
    """The part of the requests that name no version which NAME@challenger answers instead of NAME@champion."""
    shadow_share: ShareOrNone = 0.0
    """The part of what the champion answers that the challenger is asked too, only to compare."""
    cache_dir: str = ".tidegate/cache"
    cache_budget_bytes: Positive = 10 * 2**30

    # Where
    host: str = "127.0.0.1"
    http_port: Port = 8000
    grpc_port: Port = 8001
    metrics_port: Port = 8002
    admin_host: str = "127.0.0.1"
    admin_port: Port = 8003
    admin_token: str = ""
    """Without a token nobody is let in to the administration port."""
    api_keys: str = ""
    """The file that `tidegate keys` writes; without one everybody may predict."""
    tls_certificate: str = ""
    """PEM file of the HTTP, gRPC and administration ports: the certificate with its chain."""
    tls_key: str = ""
    """The certificate's private key, in PEM; both or neither."""
    shared_memory: bool = False

    # How much at once
    max_queue: Positive = 256
    """Items that may wait for one model; beyond that a caller is told to come back."""
    max_batch: Positive | None = None
    """Caps the largest batch of the manifest."""
    max_slots: Positive | None = None
    """Caps how many answers a model that generates works on at once: the manifest's largest number of slots."""
    max_waiting: Positive = 128
    """Answers that may wait for a slot of one model, `n` or `num_beams` of each request; beyond that a caller is told
    to come back."""
    max_wait_ms: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """How long an idle runtime holds back a batch that is not full. 0: only while pictures in decoding have all the
    CPUs that it would need, and no longer than a run of one takes."""
    request_timeout_s: Seconds | None = 30.0
    """For callers who name no deadline of their own."""
    generation_timeout_s: Seconds | None = 600.0
    """The same, of models that answer token by token: the time until the last one."""
    max_body_bytes: Positive = 64 * 2**20
    max_json_bytes: Positive = 8 * 2**20
    """Of them, JSON: parsing it keeps the event loop from everybody else and takes up to fifty times its size."""
    max_pixels: Positive = 64_000_000
    max_connections: Positive = 4096
    keep_alive_timeout_s: Positive = 75
    """How long a connection may be idle between two requests."""
    receive_timeout_s: Seconds = 30.0
    """How long a client may take to send a whole request, from the moment it connects or begins."""
    drain_timeout_s: Seconds = 30.0
    """How long requests that were accepted may take once the server was told to stop. shutdown.py says by when it is
    gone."""
    hang_timeout_s: Seconds = 60.0
    """A runtime that works longer than this on one batch makes its model not ready."""
    runtime_threads: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Compute threads of one runtime; 0 = as many as this process may use."""
    between_operators: Between = "sleep"
    """What compute threads do between two operators of a run. "spin" makes a token cheaper where the server has its
    cores to itself, and dearer where it shares them: with other programs, or between several busy models."""
    decode_threads: Annotated[int, msgspec.Meta(ge=0)] = 0

    # What is watched
    drift_window: Positive = 300
    """Pictures of the sliding window that is compared with the reference."""
    drift_min_window: Positive = 100
    drift_false_alarms_per_day: Annotated[float, msgspec.Meta(gt=0)] = 0.1
    drift_check_interval_s: Seconds = 10.0
    drift_queue: Positive = 128
    drift_cpu_share: Share = 0.01
    """The part of one core that signals may cost; what does not fit is dropped and counted."""
    feedback_memory: Annotated[int, msgspec.Meta(ge=0)] = 20_000
    """Answers of one model that are remembered until somebody tells what would have been right."""
    feedback_hours: Hours = 24.0
    """For how long they are."""
    capture_share: ShareOrNone = 0.0
    """Of the pictures and prompts, kept in `capture_dir` with what was answered; 0 = off."""
    capture_dir: str = ""
    capture_budget_bytes: Positive = 2**30
    """What that folder may hold in all, whoever writes there; the oldest makes room for the newest."""
    capture_retention_hours: Hours = 168.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    traces_url: str = ""
    """Where OpenTelemetry's traces go, by OTLP over HTTP: http://collector:4318/v1/traces. Empty: nowhere."""
    trace_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.01
    """The share of the requests that is followed; one whose `traceparent` header says so is in any case."""

    @property
    def engine_choice(self) -> EngineChoice:
        cache = Path(self.engine_cache) if self.engine_cache else Path(self.cache_dir) / "engines"
        settings = BuildSettings(fp32_products=self.fp32_products, optimization_level=self.engine_optimization_level)
        return EngineChoice(self.engine, cache, self.triton_url, self.triton_in_flight, self.triton_transport, settings)
