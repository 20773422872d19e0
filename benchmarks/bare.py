"""The references of the model bars: ONNX Runtime in a plain loop, alone on the server's core, with nothing around it.

    python -m benchmarks.bare PACKAGE tensor|encoded|answered BATCH SECONDS [PICTURE]

prints items per second and CPU seconds per item. "tensor" runs the graph; "encoded" decodes and resizes a picture by
our own code, then runs it; "answered" also makes of what came out (by suppression, run lengths) the JSON that is sent.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from registry.package import open_package
from serving.open_runtime import open_runtime
from serving.runtimes.compute_threads import ONE_THREAD
from tasks.task import Array, Sample, open_task

Mode = Literal["tensor", "encoded", "answered"]


class BareModel:
    """One model without a server. `payload`: the picture that is asked about again and again."""

    def __init__(self, folder: Path, payload: bytes) -> None:
        package = open_package(folder)
        self._task = open_task(package.task_spec_of("fp32"))
        self._runtime = open_runtime(package, "fp32", ONE_THREAD)
        self._params = self._task.parse_params({})
        self._payload = payload

    def random_images(self, batch: int) -> Array:
        """The graph's input."""
        shape = self._runtime.inputs[0].shape[1:]
        return np.random.default_rng(0).integers(0, 256, (batch, *shape), np.uint8)

    def run(self, images: Array) -> dict[str, Array]:
        return self._runtime.run({"image": images})

    def encoded(self, batch: int) -> tuple[list[Sample], dict[str, Array]]:
        """Pictures decoded one after the other, run as one batch."""
        samples = [self._task.sample_from_bytes(self._payload) for _ in range(batch)]
        return samples, self.run(np.stack([self._task.preprocess(sample)["image"] for sample in samples]))

    def answered(self, batch: int) -> list[bytes]:
        """The same, to the JSON of each."""
        samples, computed = self.encoded(batch)
        outputs = [{name: array[index] for name, array in computed.items()} for index in range(batch)]
        pairs = zip(outputs, samples, strict=True)
        return [msgspec.json.encode(self._task.decode_output(*pair, self._params)) for pair in pairs]


def run_loop(model: BareModel, mode: Mode, batch: int, seconds: float) -> tuple[float, float]:
    """Items per second of wall time, CPU seconds per item; warm-up excluded."""
    images = model.random_images(batch)
    steps: dict[Mode, Callable[[], object]] = {
        "tensor": lambda: model.run(images),
        "encoded": lambda: model.encoded(batch),
        "answered": lambda: model.answered(batch),
    }
    step = steps[mode]
    for _ in range(3):
        step()
    started, started_cpu, num_steps = time.perf_counter(), time.process_time(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        step()
        num_steps += 1
    num_items = num_steps * batch
    return num_items / elapsed, (time.process_time() - started_cpu) / num_items


def main() -> None:
    folder, mode, batch, seconds = Path(sys.argv[1]), msgspec.convert(sys.argv[2], Mode), int(sys.argv[3]), sys.argv[4]
    payload = Path(sys.argv[5]).read_bytes() if len(sys.argv) > 5 else b""
    print(*run_loop(BareModel(folder, payload), mode, batch, float(seconds)))


if __name__ == "__main__":
    main()
