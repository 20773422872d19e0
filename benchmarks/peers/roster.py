"""Who takes part: our server first, then the peers, each started as its own documents advise for one core."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from benchmarks.peers.call import (
    Call,
    encoded_over_grpc,
    encoded_over_http,
    multipart,
    octets,
    over_grpc,
    over_http,
    table_of_base64,
    top_of_classes,
    top_of_http,
    top_of_ours,
)
from benchmarks.peers.contender import OURS, Contender
from benchmarks.peers.model_folders import TRITON_PICTURES, save_mlflow, write_mlserver, write_triton
from benchmarks.peers.stand import Stand, program
from benchmarks.peers.workload import Kind
from benchmarks.processes import Server, free_port
from benchmarks.requests import picture_over_http, tensor_over_grpc, tensor_over_http


def server_of(stand: Stand) -> Server:
    """For the requests of the other benchmarks, which look at the ports alone."""
    return Server(0, stand.settings.port, stand.settings.port, 0)


def serve_ours(stand: Stand) -> list[str]:
    http, grpc, metrics = str(stand.settings.port), str(free_port()), str(free_port())
    flags = ["--http-port", http, "--grpc-port", grpc, "--metrics-port", metrics]
    return [sys.executable, "-m", "tidegate", "serve", "--store", str(stand.packages), *flags]


def ask_ours(stand: Stand, kind: Kind, payload: bytes) -> Call:
    if kind == "tensor":
        return ask_tensor(stand)
    return over_http(picture_over_http(server_of(stand), stand.model, "classify", payload), top_of_ours)


def ask_tensor(stand: Stand) -> Call:
    """The binary tensors of the Open Inference Protocol: the same bytes to whoever speaks it."""
    return over_http(tensor_over_http(server_of(stand), stand.model, stand.settings.size), top_of_http)


def ask_triton(stand: Stand, kind: Kind, payload: bytes) -> Call:
    if kind == "tensor":
        return ask_tensor(stand)
    return over_http(encoded_over_http(stand.url(f"/v2/models/{TRITON_PICTURES}/infer"), payload), top_of_http)


def ask_over_grpc(stand: Stand, kind: Kind, payload: bytes) -> Call:
    if kind == "tensor":
        return over_grpc(tensor_over_grpc(server_of(stand), stand.model, stand.settings.size))
    return over_grpc(encoded_over_grpc(stand.settings.port, stand.model, payload))


def ask_bentoml(stand: Stand, kind: Kind, payload: bytes) -> Call:
    return over_http(multipart(stand.url(f"/{kind}s"), "files", payload), top_of_classes)


def ask_octets(path: str) -> Callable[[Stand, Kind, bytes], Call]:
    """Apps that tell a JPEG from a tensor by its first bytes."""
    return lambda stand, kind, payload: over_http(octets(stand.url(path), payload), top_of_classes)


def ask_mlflow(stand: Stand, kind: Kind, payload: bytes) -> Call:
    return over_http(table_of_base64(stand.url("/invocations"), payload), top_of_classes)


def serve_app(environment: str, *flags: str) -> Callable[[Stand], list[str]]:
    """Apps that start their own server."""
    return lambda stand: [program(environment, "python"), "-m", f"benchmarks.peers.apps.{environment}_app", *flags]


def serve_bentoml(stand: Stand) -> list[str]:
    listen = ["--host", "127.0.0.1", "--port", str(stand.settings.port)]
    return [program("bentoml", "bentoml"), "serve", "benchmarks.peers.apps.bentoml_app:Classify", *listen]


def serve_mlflow(stand: Stand) -> list[str]:
    served = ["-m", str(stand.folder / "model"), "--env-manager", "local", "--workers", "1"]
    listen = ["--host", "127.0.0.1", "--port", str(stand.settings.port)]
    return [program("mlflow", "mlflow"), "models", "serve", *served, *listen]


def serve_kserve(stand: Stand) -> list[str]:
    listen = ["--grpc_port", str(stand.settings.port), "--http_port", str(free_port()), "--workers", "1"]
    quiet = ["--configure_logging", "false", "--enable_latency_logging", "false"]
    return serve_app("kserve", "--model_name", stand.model, *listen, *quiet)(stand)


def serve_triton(stand: Stand) -> list[str]:
    listen = ["--http-port", str(stand.settings.port), "--allow-grpc", "false", "--allow-metrics", "false"]
    quiet = ["--log-info", "false", "--log-warning", "false"]
    return [program("triton", "tritonserver"), "--model-repository", str(stand.folder / "repository"), *listen, *quiet]


CONTENDERS = (
    Contender(
        OURS,
        "tidegate",
        "HTTP, binary tensor / JPEG body; batches whatever waits",
        serve_ours,
        ask_ours,
        variables={"TIDEGATE_VARIANT": "fp32"},
    ),
    Contender(
        "triton",
        "nvidia-pytriton",
        "Triton 2.51; HTTP, binary tensor / BYTES tensor; dynamic batching; ONNX Runtime in the Python backend (the "
        "Triton of PyPI has no other)",
        serve_triton,
        ask_triton,
        write_triton,
        between_turns="idle",
    ),
    Contender(
        "litserve",
        "litserve",
        "HTTP, raw body; LitAPI with batching, fast_queue",
        serve_app("litserve"),
        ask_octets("/predict"),
    ),
    Contender(
        "bentoml",
        "bentoml",
        "HTTP, multipart file; batchable API, its dispatcher chooses the wait",
        serve_bentoml,
        ask_bentoml,
        variables={"BENTOML_DO_NOT_TRACK": "True"},
    ),
    Contender(
        "mlserver",
        "mlserver",
        "gRPC, raw tensor contents (its HTTP is JSON); adaptive batching, no worker processes",
        lambda stand: [program("mlserver", "mlserver"), "start", str(stand.folder)],
        ask_over_grpc,
        write_mlserver,
    ),
    Contender(
        "ray",
        "ray",
        "HTTP, raw body; serve.batch, one replica, RAY_SERVE_THROUGHPUT_OPTIMIZED",
        serve_app("ray"),
        ask_octets("/"),
        variables={"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_USAGE_STATS_ENABLED": "0"},
    ),
    Contender(
        "mlflow",
        "mlflow",
        "HTTP, JSON table with the bytes as base64; it does not batch",
        serve_mlflow,
        ask_mlflow,
        save_mlflow,
        variables={"MLFLOW_DISABLE_TELEMETRY": "true"},
    ),
    Contender(
        "kserve",
        "kserve",
        "gRPC, raw tensor contents (its HTTP makes lists of numbers of them); its Python server does not batch",
        serve_kserve,
        ask_over_grpc,
    ),
)
PEERS: Mapping[str, Contender] = {contender.name: contender for contender in CONTENDERS if contender.name != OURS}
"""By name, which is that of the environment too."""
