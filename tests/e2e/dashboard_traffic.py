"""Traffic that leaves nothing on a dashboard empty: every kind of model, errors, feedback, a challenger, keys."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from registry.local_store import LocalStore
from serving.access.caller import Role
from serving.access.key_edits import issue_key
from tests.e2e.conftest import RunningServer, start_server
from tests.handmade import Handmade, build_package, encoded
from tests.handmade_detection import build_detector
from tests.handmade_segmentation import build_segmenter
from tests.handmade_segmentation import encoded_patches as patches
from tests.tiny_language import build_language_package

CLASSIFIER, DETECTOR, SEGMENTER, LANGUAGE = "colours", "cells", "patches", "tiny"
PAUSE_S = 0.2
"""Between two rounds: the machine has other things to do as well."""
SETTINGS = {
    "POLL_INTERVAL_S": "0.2",
    "RUNTIME_THREADS": "1",
    "CHALLENGER_SHARE": "0.3",
    "SHADOW_SHARE": "1",
    "DRIFT_MIN_WINDOW": "10",
    "DRIFT_CHECK_INTERVAL_S": "1",
    "DRIFT_CPU_SHARE": "1",
    "CAPTURE_SHARE": "1",
}


@dataclass(frozen=True)
class Asked:
    """A server, and a key that it knows."""

    server: RunningServer
    key: str


@contextmanager
def dashboard_server(folder: Path) -> Iterator[Asked]:
    """A model of each kind that dashboards tell apart, one of them with a challenger; keys are asked for."""
    store = LocalStore(folder / "store")
    classifiers = [
        build_package(folder / f"classifier-{number}", Handmade(num_profile=300, shift=shift))
        for number, shift in enumerate((0.0, 0.5))
    ]
    for package in classifiers:
        store.publish(package.folder)
    store.set_alias(CLASSIFIER, "challenger", "2")
    store.set_alias(CLASSIFIER, "champion", "1")
    others = [
        build_detector(folder / "detector"),
        build_segmenter(folder / "segmenter"),
        build_language_package(folder / "language", name=LANGUAGE),
    ]
    keys = folder / "keys.toml"
    key = issue_key(keys, "shop", Role.PREDICT, None).text()
    captured = {"CAPTURE_DIR": str(folder / "captured"), "API_KEYS": str(keys)}
    with start_server(folder, others, **SETTINGS, **captured) as server:
        yield Asked(server, key)


@contextmanager
def traffic(asked: Asked) -> Iterator[None]:
    """Goes on in the background. Raises at the end what went wrong on the way."""
    stop, problems = threading.Event(), list[BaseException]()

    def run() -> None:
        headers = {"X-API-Key": asked.key}
        with httpx.Client(base_url=f"http://{asked.server.http}", headers=headers, trust_env=False, timeout=60) as http:
            number = 0
            while not stop.is_set():
                number += 1
                try:
                    send_round(http, number)
                except BaseException as error:
                    problems.append(error)
                    return
                stop.wait(PAUSE_S)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    if problems:
        raise problems[0]


def send_round(http: httpx.Client, number: int) -> None:
    """One request of each kind with its feedback, and one of each mistake."""
    for seed in range(4 * number, 4 * number + 4):
        judged(http, CLASSIFIER, "classify", encoded(seed), label="red")
    judged(http, DETECTOR, "detect", patches(number), objects=[{"label": 0, "box": [0, 0, 20, 20]}])
    judged(http, SEGMENTER, "segment", patches(number), mask=mask())
    prompt = {"model": LANGUAGE, "prompt": "Return the number of items", "max_tokens": 8, "seed": number}
    answer = http.post("/v1/completions", json=prompt).raise_for_status()
    tell(http, LANGUAGE, answer, references=["in the list"], rating="up")
    assert http.post("/v1/models/nobody/classify", content=encoded(1)).status_code == 404
    assert http.post(f"/v1/models/{CLASSIFIER}/classify", content=b"no picture").status_code == 400
    assert http.post(f"/v1/models/{CLASSIFIER}/classify", headers={"X-API-Key": "wrong"}).status_code == 401


def judged(http: httpx.Client, model: str, verb: str, picture: bytes, **truth: object) -> None:
    """Asked, and told what would have been right."""
    answer = http.post(f"/v1/models/{model}/{verb}", content=picture).raise_for_status()
    tell(http, model, answer, **truth)


def tell(http: httpx.Client, model: str, answer: httpx.Response, **truth: object) -> None:
    feedback = {"request_id": answer.headers["x-request-id"], **truth}
    http.post(f"/v1/models/{model}/feedback", json=feedback).raise_for_status()


def mask() -> str:
    """As JSON carries it: all of the picture is of one class."""
    buffer = io.BytesIO()
    Image.fromarray(np.ones((60, 80), np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
