"""The demo's clients: the ones people have already, and a handful of threads where it takes many requests."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from importlib import import_module
from itertools import cycle, takewhile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from tasks.errors import NotReady

CONNECTIONS = 8
MAX_SHOWN_BYTES = 500
NO_HEADERS: Mapping[str, str] = {}


def ask_by_curl(url: str, picture: Path) -> tuple[str, str] | None:
    """The command as one would type it and the server's answer; None where curl is not installed."""
    curl = shutil.which("curl")
    if curl is None:
        return None
    arguments = ["-s", "--fail-with-body", "--data-binary", f"@{picture}", url]
    answer = subprocess.run([curl, *arguments], capture_output=True, text=True, timeout=30, check=False)
    if answer.returncode:
        raise NotReady(f"curl left with {answer.returncode}: {answer.stdout or answer.stderr}")
    return f"curl --data-binary @{picture} '{url}'", answer.stdout


def ask_by_tritonclient(
    protocol: Literal["http", "grpc"], address: str, model: str, tensor: str, element: bytes
) -> dict[str, Any]:
    """Every output for one encoded picture or one prompt, by name. `tensor`: the input that takes it."""
    tritonclient = import_module(f"tritonclient.{protocol}")
    client = tritonclient.InferenceServerClient(address)
    try:
        asked = tritonclient.InferInput(tensor, [1], "BYTES")
        asked.set_data_from_numpy(np.array([element], object))
        answer = client.infer(model, [asked])
        response = answer.get_response() if protocol == "http" else answer.get_response(as_json=True)
        return {each["name"]: answer.as_numpy(each["name"]) for each in response["outputs"]}
    finally:
        client.close()


def fetch_picture(address: str, path: str, payload: bytes) -> bytes:
    """The answer where it is a picture and not JSON. Raises NotReady for any other status."""
    with connect(address) as connection:
        return read(connection, "POST", path, payload)


def stream_completion(address: str, model: str, prompt: str, max_tokens: int) -> Iterator[str]:
    """What a model goes on with, piece by piece as it is written, by the completions of the OpenAI API."""
    wanted = {"model": model, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0.7, "seed": 7, "stream": True}
    with connect(address) as connection:
        connection.request("POST", "/v1/completions", json.dumps(wanted), {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise refusal("POST", "/v1/completions", response.status, response.read())
        for line in response:
            if line.startswith(b"data: {"):
                yield json.loads(line.removeprefix(b"data: "))["choices"][0]["text"]


def send_all(address: str, path: str, payloads: Sequence[bytes]) -> Iterator[Any]:
    """Every body once, over a few connections; yields the answers in order. Raises NotReady for any other status."""
    shares = [payloads[first::CONNECTIONS] for first in range(CONNECTIONS)]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = list(pool.map(lambda share: list(post_each(address, path, share)), shares))
    for index in range(len(payloads)):
        yield answers[index % CONNECTIONS][index // CONNECTIONS]


def measure_rate(address: str, path: str, payloads: Sequence[bytes], seconds: float) -> float:
    """Requests a second that the server answers to a few connections which ask as fast as they can."""
    started = time.monotonic()

    def keep_asking(first: int) -> int:
        asked = takewhile(lambda _: time.monotonic() < started + seconds, cycle(payloads[first::CONNECTIONS]))
        return sum(1 for _ in post_each(address, path, asked))

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        num_answers = sum(pool.map(keep_asking, range(CONNECTIONS)))
    return num_answers / (time.monotonic() - started)


def post_each(address: str, path: str, payloads: Iterable[bytes]) -> Iterator[Any]:
    """One kept connection; yields each answer. Raises NotReady for any status but 200."""
    with connect(address) as connection:
        for payload in payloads:
            yield json.loads(read(connection, "POST", path, payload))


def call(address: str, method: str, path: str, token: str = "") -> Any:
    """One request of its own; what its answer says in JSON, None where it is empty."""
    with connect(address) as connection:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return json.loads(read(connection, method, path, headers=headers) or b"null")


@contextmanager
def connect(address: str) -> Iterator[HTTPConnection]:
    """To host:port, closed in the end."""
    host, port = address.split(":")
    connection = HTTPConnection(host, int(port), timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def read(
    connection: HTTPConnection, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = NO_HEADERS
) -> bytes:
    """The answer to one request. Raises NotReady for any status but 200."""
    connection.request(method, path, body, dict(headers))
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise refusal(method, path, response.status, content)
    return content


def refusal(method: str, path: str, status: int, content: bytes) -> NotReady:
    said = content[:MAX_SHOWN_BYTES].decode("utf-8", "replace")
    return NotReady(f"{method} {path} was answered with {status}: {said}")


def add_noise(payload: bytes, seed: int) -> bytes:
    """The same picture from a sensor in the dark: gaussian noise of a fifth of the range, as JPEG again."""
    pixels = np.asarray(Image.open(io.BytesIO(payload)).convert("RGB"), np.float32)
    noisy = pixels + np.random.default_rng(seed).normal(0, 50, pixels.shape)
    stream = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()
