"""The references of the model bars: ONNX Runtime in a plain loop, alone on the server's core, with nothing around it.

    python -m benchmarks.bare PACKAGE tensor|encoded BATCH SECONDS [PICTURE]

prints items per second and CPU seconds per item. "tensor" runs the graph; "encoded" decodes and resizes a picture by
our own code, then runs it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from registry.package import open_package
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.task import open_task


def run_loop(folder: Path, mode: str, batch: int, seconds: float, picture: Path | None) -> tuple[float, float]:
    """Items per second of wall time, CPU seconds per item; warm-up excluded."""
    package = open_package(folder)
    task = open_task(package.task_spec_of("fp32"))
    runtime = OnnxRuntime(package.graph_path("fp32"))
    shape = runtime.inputs[0].shape[1:]
    images = np.random.default_rng(0).integers(0, 256, (batch, *shape), np.uint8)
    payload = picture.read_bytes() if picture else b""

    def decode() -> np.ndarray:
        return task.preprocess(task.sample_from_bytes(payload))["image"]

    def step() -> None:
        tensors = np.stack([decode() for _ in range(batch)]) if mode == "encoded" else images
        runtime.run({"image": tensors})

    for _ in range(3):
        step()
    started, started_cpu, num_steps = time.perf_counter(), time.process_time(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        step()
        num_steps += 1
    num_items = num_steps * batch
    return num_items / elapsed, (time.process_time() - started_cpu) / num_items


def main() -> None:
    folder, mode, batch, seconds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    print(*run_loop(folder, mode, batch, seconds, Path(sys.argv[5]) if len(sys.argv) > 5 else None))


if __name__ == "__main__":
    main()
