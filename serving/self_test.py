"""The golden replay: does this host, with this runtime, answer what the exporting host answered?

Export runs it on every variant it makes, the server before it turns ready. The golden inputs are encoded pictures, so
decoding and resizing are part of what is proved.
"""

from __future__ import annotations

from collections.abc import Mapping

from registry.package import ModelPackage
from serving.runtimes.runtime import Runtime
from tasks.errors import InvalidPackage
from tasks.task import Array, Prediction, Sample, Task


def replay_golden(package: ModelPackage, variant: str, task: Task, runtime: Runtime) -> None:
    """Raises InvalidPackage naming the first golden input whose decision or numbers differ by more than the variant's
    own tolerance."""
    expected = package.golden_outputs(variant)
    tolerance = package.variant(variant).golden.max_abs_difference
    payloads = package.golden_inputs()
    if not payloads:
        raise InvalidPackage(f"{package.manifest.name!r} has no golden inputs, so nothing can be proved")
    for index, (file, payload) in enumerate(zip(package.manifest.golden_inputs, payloads, strict=True)):
        sample = task.sample_from_bytes(payload)
        tensors = {name: array[None] for name, array in task.preprocess(sample).items()}
        actual = {name: array[0] for name, array in runtime.run(tensors).items()}
        stored = {name: array[index] for name, array in expected.items()}
        check_numbers(f"golden input {file!r} on {variant!r}", task, actual, stored, tolerance)
        decision, promised = (task.decision(predict(task, sample, outputs)) for outputs in (actual, stored))
        if decision != promised:
            raise InvalidPackage(f"golden input {file!r} on {variant!r}: decided {decision!r}, not {promised!r}")


def predict(task: Task, sample: Sample, outputs: Mapping[str, Array]) -> Prediction:
    return task.decode_output(outputs, sample, task.parse_params({}))


def check_numbers(
    what: str, task: Task, actual: Mapping[str, Array], stored: Mapping[str, Array], tolerance: Mapping[str, float]
) -> None:
    """Raises InvalidPackage where an output is further from the stored one than its tolerance, or is not a number."""
    if missing := sorted(stored.keys() - actual.keys()):
        raise InvalidPackage(f"{what}: the graph has no output {', '.join(missing)}")
    for name, promised in stored.items():
        if actual[name].shape != promised.shape:
            raise InvalidPackage(f"{what}: {name!r} has shape {actual[name].shape}, not {promised.shape}")
    differences = task.differences(stored, {name: actual[name] for name in stored})
    for name in stored:
        if not differences[name] <= tolerance[name]:
            raise InvalidPackage(
                f"{what}: {name!r} differs by {differences[name]:.3g}, allowed is {tolerance[name]:.3g}"
            )
