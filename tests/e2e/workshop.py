"""A working directory in which a model lives: commands as a user types them, and a server of its champions."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import numpy as np
from mlflow import MlflowClient
from numpy.typing import NDArray
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from registry.event import PromotionEvent
from registry.package import ModelPackage
from registry.promotion import history
from registry.store import ModelRef, PackageStore, open_store
from tests.e2e.conftest import RunningServer, run_server
from training.data.config import DigitsConfig
from training.data.digits import encode_png, open_digits
from training.data.source import Example, SplitName

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 600.0
"""For a step that trains, on a machine that has other things to do."""
RECIPE = """
name = "digits"
ema_decay = 0.9
[data]
source = "digits"
[image]
height = 8
width = 8
[model]
architecture = "resnet"
[model.options]
depths = [1, 1]
widths = [16, 32]
stem = "small"
[optimiser]
learning_rate = 5e-3
[schedule]
epochs = 6
batch_size = 32
"""
EXPORT_RECIPE = """
num_verify = 1000
num_profile = 1500
num_seeds = 1
num_golden = 4
num_calibration = 32
batch_buckets = [1, 8]
latency_seconds = 0.05
[variants.fp32.tolerances]
min_decision_agreement = 0.99
max_metric_drop = 0.01
max_calibration_increase = 0.01
max_class_drop = 0.01
"""


class Workshop:
    """`tidegate` in a folder of its own, with the store that it makes there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        self.environment = {
            **environment,
            "PYTHONPATH": str(ROOT),
            "TIDEGATE_CACHE": str(folder / "data"),
            "OMP_NUM_THREADS": "1",
        }

    @property
    def mlflow(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self.folder}/.tidegate/mlflow.db")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tidegate", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=pipe, stderr=pipe, text=True, process_group=0
        )

    def fail(self, *arguments: str) -> tuple[int, str]:
        """Exit code, and what was said on stderr."""
        process = self.start(*arguments)
        try:
            _, said = process.communicate(timeout=TIMEOUT_S)
        finally:
            kill_all_of(process)
        return process.returncode, said

    def run(self, *arguments: str) -> str:
        """What a command says, that must succeed."""
        code, said = self.fail(*arguments)
        assert code == 0, f"{arguments}: {said}"
        return said

    def kill_when(self, happens: Callable[[], object], *arguments: str) -> None:
        """kill -9 of a command and all that it has started, as soon as something happens."""
        process = self.start(*arguments)
        try:
            wait_for(lambda: happens() or process.poll() is not None)
            assert process.poll() is None, f"it ended before it could be killed: {process.communicate()}"
        finally:
            kill_all_of(process)
            process.communicate()

    def version(self, alias: str) -> str:
        """Of the model, "" where nobody holds the alias."""
        return str(self.mlflow.get_registered_model("digits").aliases.get(alias, ""))

    @property
    def store(self) -> PackageStore:
        return open_store(f"sqlite:///{self.folder}/.tidegate/mlflow.db")

    def package(self, version: str) -> ModelPackage:
        return self.store.fetch(self.store.resolve(ModelRef(name="digits", version=version)), self.folder / "cache")

    def events(self) -> list[PromotionEvent]:
        """Of the model, oldest first."""
        return history(self.store, "digits")

    @contextmanager
    def serve(self, **settings: str) -> Iterator[RunningServer]:
        """Whatever is champion."""
        ports = {f"TIDEGATE_{name}_PORT": "0" for name in ("HTTP", "GRPC", "METRICS", "ADMIN")}
        chosen = {f"TIDEGATE_{name}": value for name, value in settings.items()}
        unhurried = {
            "TIDEGATE_POLL_INTERVAL_S": "0.2",
            "TIDEGATE_DRIFT_CPU_SHARE": "1",
            "TIDEGATE_DRIFT_QUEUE": "10000",
        }
        often = {"TIDEGATE_DRIFT_CHECK_INTERVAL_S": "1"}
        store = {"MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/.tidegate/mlflow.db"}
        environment = {**self.environment, **ports, **unhurried, **often, **store, **chosen}
        with run_server(environment, self.folder) as started:
            yield started


def kill_all_of(process: subprocess.Popen[str]) -> None:
    """It and all that it has started, of which there may be none."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def wait_for(condition: Callable[[], object]) -> None:
    expires_at = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < expires_at, "it took too long"
        time.sleep(0.01)


def open_workshop(folder: Path) -> Workshop:
    """With a champion that has seen the plain scans and nothing else."""
    workshop = Workshop(folder)
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "export.toml").write_text(EXPORT_RECIPE)
    workshop.run("train", "recipe.toml")
    workshop.run("export", "digits", "--recipe", "export.toml")
    workshop.run("promote", "digits")
    return workshop


def negatives(*splits: SplitName) -> list[Example]:
    """Scans that somebody has inverted: dark ink on a light ground."""
    return changed(splits, lambda pixels: 255 - pixels)


def sideways(*splits: SplitName) -> list[Example]:
    """Scans of which the top is at the left."""
    return changed(splits, np.rot90)


def changed(splits: Sequence[SplitName], change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> list[Example]:
    source = open_digits(DigitsConfig())
    examples = [example for split in splits for example in source.split(split)]
    pictures = [np.asarray(Image.open(io.BytesIO(example.payload))) for example in examples]
    return [Example(encode_png(change(each)), one.target) for each, one in zip(pictures, examples, strict=True)]


def write_classes(folder: Path, examples: Sequence[Example]) -> None:
    """A directory for each class."""
    for number, example in enumerate(examples):
        target = folder / str(example.target)
        target.mkdir(parents=True, exist_ok=True)
        (target / f"{number:04}.png").write_bytes(example.payload)


class Traffic:
    """Clients that send the same examples over and over until they are told to stop. `statuses`: of every request, or
    what became of it; `right`: version → answers that were right."""

    def __init__(self, server: RunningServer, examples: Sequence[Example], num_clients: int = 3) -> None:
        self._url, self._examples = f"http://{server.http}", examples
        self._stop, self._lock, self._next = threading.Event(), threading.Lock(), 0
        self.num_sent = 0
        self.statuses: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._ask) for _ in range(num_clients)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, trust_env=False, timeout=60) as client:
            while not self._stop.is_set():
                with self._lock:
                    number, self._next = self._next, self._next + 1
                    self.num_sent += 1
                example = self._examples[number % len(self._examples)]
                try:
                    answer = client.post("/v1/models/digits/classify", content=example.payload)
                    status, version = str(answer.status_code), answer.headers.get("x-model-version", "")
                except httpx.TransportError as error:
                    status, version = repr(error), ""
                with self._lock:
                    self.statuses[status] += 1
                    self.answered[version] += 1
                # More would only keep what is trained beside it from being trained.
                self._stop.wait(0.02)


def accuracy(server: RunningServer, examples: Sequence[Example]) -> float:
    """Share of right answers, each example asked once."""
    with httpx.Client(base_url=f"http://{server.http}", trust_env=False, timeout=60) as client:
        found = [client.post("/v1/models/digits/classify", content=one.payload).json() for one in examples]
    guesses = [one["predictions"][0]["classes"][0]["class_id"] for one in found]
    return float(np.mean([guess == one.target for guess, one in zip(guesses, examples, strict=True)]))


def drift_of(server: RunningServer) -> dict[str, object]:
    """The verdict of the version that is champion now."""
    answer = httpx.get(f"http://{server.http}/v1/models/digits/drift", trust_env=False, timeout=60)
    return dict(answer.raise_for_status().json())


def sample(server: RunningServer, name: str, label: str = "version") -> dict[str, float]:
    """Value of a label → value of a metric of digits, summed over all others."""
    text = httpx.get(f"http://{server.metrics}/metrics", trust_env=False, timeout=60).text
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name == name and one.labels["model"] == "digits":
                found[one.labels[label]] += one.value  # type: ignore[assignment]
    return dict(found)
