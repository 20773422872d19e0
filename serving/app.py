"""The composition root: a store and a configuration in, a server out. Owns the event loop, the threads, the ports."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

import grpc
import uvloop

from registry.store import PackageStore
from serving import shutdown
from serving.access.access import Access
from serving.access.keyless_calls import KeylessCalls
from serving.access.live_keys import LiveKeys
from serving.access.tls import Tls
from serving.admin_routes import build_admin
from serving.batcher import BatchLimits
from serving.config import ServerConfig
from serving.console.routes import build_console
from serving.drift_feed import DriftFeed
from serving.feedback.routes import build_feedback
from serving.front import build_front
from serving.generator import GeneratorLimits
from serving.http_server import HttpServer
from serving.logs import configure_logs
from serving.metrics import Metrics
from serving.model_host import ModelHost
from serving.oip.grpc import add_services
from serving.oip.shared_memory import SharedMemoryRegions
from serving.open_aftermath import open_aftermath
from serving.scrape import Scrapes
from serving.surroundings import Surroundings
from serving.tracing.tracing import open_tracing
from serving.workers import DecodePool, available_cpus, full_decoding
from tasks.errors import Conflict

BACKLOG = 2048
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ports:
    """Where a running server listens."""

    http: int
    grpc: int
    metrics: int
    admin: int


class App:
    """One server process. Built and used on the event loop it runs on."""

    def __init__(self, store: PackageStore, config: ServerConfig) -> None:
        self.config = config
        self.metrics = Metrics()
        num_cpus = available_cpus()
        num_decoders = config.decode_threads or num_cpus
        self._decode_pool = DecodePool(num_decoders)
        self._drift_feed = DriftFeed(config.drift_queue, config.drift_cpu_share)
        limits = BatchLimits(config.max_queue, config.max_wait_ms / 1000, full_decoding(num_decoders, num_cpus))
        generator_limits = GeneratorLimits(config.max_waiting)
        self._aftermath = open_aftermath(config, self.metrics)
        surroundings = Surroundings(
            self._decode_pool, self._drift_feed, limits, config.max_pixels, generator_limits, self._aftermath
        )
        self.host = ModelHost(store, config, self.metrics, surroundings)
        self._regions = SharedMemoryRegions(config.shared_memory, config.max_body_bytes)
        keys = LiveKeys(Path(config.api_keys), self.metrics.access) if config.api_keys else None
        tls = open_tls(config, self.metrics)
        self._watches = [one.watch for one in (keys, tls) if one is not None]
        self.access = Access(config.admin_token, self.metrics.access, keys)
        self._tracing = open_tracing(config)
        console = build_console(self.host, store, config, self.access)
        feedback = build_feedback(self._aftermath, config)
        front = build_front(
            self.host, config, self.metrics, self._regions, self.access, console, feedback, tracing=self._tracing
        )
        admin = build_admin(self.host, config, self._regions, self.access)
        self._http = HttpServer(front, listen(config.host, config.http_port, "http_port"), config, tls)
        self._admin = HttpServer(admin, listen(config.admin_host, config.admin_port, "admin_port"), config, tls)
        scrapes = Scrapes(self.metrics.registry)
        self._scrapes = HttpServer(scrapes, listen(config.host, config.metrics_port, "metrics_port"), config)
        self._grpc = grpc_server(config)
        add_services(self._grpc, self.host, config, self.metrics, self._regions, self.access, self._tracing)
        self._grpc_port = bind_grpc(self._grpc, config, tls)

    @property
    def ports(self) -> Ports:
        return Ports(self._http.port, self._grpc_port, self._scrapes.port, self._admin.port)

    async def start(self) -> None:
        """Listen at once, so that liveness and the reasons for not being ready can be asked; then load the models."""
        await asyncio.gather(self._http.start(), self._admin.start(), self._scrapes.start(), self._grpc.start())
        log.info("listening", extra={"ports": self.ports.__dict__, "cpus": available_cpus()})
        for watch in self._watches:
            watch.start()
        await self.host.start()
        # What is loaded now stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        log.info("started", extra={"models": [f"{m.name}/{m.version} {m.state}" for m in self.host.index()]})

    async def stop(self) -> None:
        """Not ready at once; answer what was accepted; then free everything, as far as there is time."""
        self.host.draining = True
        log.info("stopping: no new requests, finishing those accepted")
        drain_s = self.config.drain_timeout_s
        # Of administration too: a load that is on its way would take the time in which everything is freed.
        drained = asyncio.gather(self._http.stop(), self._admin.stop(), self._grpc.stop(drain_s))
        await shutdown.wait_for("answering", drained, drain_s + shutdown.DRAIN_MARGIN_S)
        await shutdown.wait_for("freeing models", self._free(), shutdown.FREE_LIMIT_S)
        await asyncio.gather(
            shutdown.wait_for_thread("capture", self._aftermath.close, shutdown.WRITE_LIMIT_S),
            shutdown.wait_for_thread("tracing", self._tracing.close, shutdown.WRITE_LIMIT_S),
        )
        self._decode_pool.close()
        self._regions.close()
        watched = asyncio.gather(self._scrapes.stop(), *(watch.stop() for watch in self._watches))
        await shutdown.wait_for("the metrics port", watched, shutdown.CLOSE_LIMIT_S)
        log.info("stopped")

    async def _free(self) -> None:
        await self.host.stop()
        await asyncio.to_thread(self._drift_feed.close)


def build_app(store: PackageStore, config: ServerConfig) -> App:
    """A server that is not started yet, its ports already taken. Called on the event loop."""
    return App(store, config)


def run_server(store: PackageStore, config: ServerConfig) -> None:
    """Serve until SIGTERM or SIGINT. Raises Conflict for a port that is taken."""
    configure_logs(config.log_level)
    uvloop.run(serve(store, config))


async def serve(store: PackageStore, config: ServerConfig) -> None:
    told_to_stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, told_to_stop.set)
    app = build_app(store, config)
    starting = asyncio.create_task(app.start())
    stopping = asyncio.create_task(told_to_stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
        await stopping
    finally:
        shutdown.end_within(shutdown.stop_limit_s(config.drain_timeout_s))
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        await app.stop()


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A socket that listens. Raises Conflict naming the setting to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise Conflict(f"can not listen on {host}:{port} ({error}); choose another {setting}") from error
    listener.setblocking(False)
    return listener


def grpc_server(config: ServerConfig) -> grpc.aio.Server:
    """Without services. What callers without a key may hold is no part of what is there for those with one."""
    num_keyless = KeylessCalls.max_places if config.api_keys else 0
    return grpc.aio.server(
        options=(
            ("grpc.max_receive_message_length", config.max_body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ),
        maximum_concurrent_rpcs=config.max_connections + num_keyless,
    )


def open_tls(config: ServerConfig, metrics: Metrics) -> Tls | None:
    """The certificate, where there is one. Raises InvalidRecipe for bad files."""
    if not config.tls_certificate:
        return None
    return Tls(Path(config.tls_certificate), Path(config.tls_key), metrics.access)


def bind_grpc(server: grpc.aio.Server, config: ServerConfig, tls: Tls | None) -> int:
    """The port that was taken. Raises Conflict naming the setting to change."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    address = f"{host}:{config.grpc_port}"
    try:
        port: int
        if tls is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, tls.grpc_credentials())
    except RuntimeError as error:
        raise Conflict(f"can not listen on {address} ({error}); choose another grpc_port") from error
    return port
