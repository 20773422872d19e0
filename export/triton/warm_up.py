"""What Triton warms a model with before it calls it ready: pictures of the golden set, in every batch size."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
from tritonclient.grpc.model_config_pb2 import ModelWarmup

from export.triton.model_config import data_type
from registry.package import ModelPackage
from tasks.task import open_task

FOLDER = "warmup"
"""Where Triton looks for the files, beside config.pbtxt."""


class WarmUp(NamedTuple):
    """`requests`: ModelWarmup messages, `files`: the tensors that they refer to, by name."""

    requests: list[Any]
    files: dict[str, bytes]


def golden_warm_up(package: ModelPackage, variant: str) -> WarmUp:
    """A batch of each size, of one golden picture each: Triton repeats the tensor of a file as often as it takes."""
    task = open_task(package.task_spec_of(variant))
    specs = {spec.name: spec for spec in package.variant(variant).graphs["main"].inputs}
    payloads = package.golden_inputs()
    requests, files = [], {}
    for index, bucket in enumerate(package.manifest.batch_buckets):
        tensors = task.preprocess(task.sample_from_bytes(payloads[index % len(payloads)]))
        request = ModelWarmup(name=f"golden, batch of {bucket}", batch_size=bucket)
        for name, array in tensors.items():
            content = np.ascontiguousarray(array).tobytes()
            file = f"{name}-{hashlib.sha256(content).hexdigest()[:16]}"
            files[file] = content
            entry = request.inputs[name]
            entry.data_type, entry.input_data_file = data_type(specs[name]), file
            entry.dims.extend(array.shape)
        requests.append(request)
    return WarmUp(requests, files)
