"""Where a batch is put together: memory allocated once per runtime slot and used for every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from serving.runtimes.onnx_runtime import NUMPY_TYPES
from tasks.task import Array, TensorSpec


class BatchBuffers:
    """One array [max_rows, …] for each input of the graph."""

    def __init__(self, inputs: Sequence[TensorSpec], max_rows: int) -> None:
        self._arrays = {
            spec.name: np.zeros((max_rows, *spec.shape[1:]), NUMPY_TYPES[spec.dtype])
            for spec in inputs
            if -1 not in spec.shape[1:]
        }
        self._names = [spec.name for spec in inputs]

    def gather(self, parts: Sequence[tuple[int, Mapping[str, Array]]], bucket: int) -> dict[str, Array]:
        """(rows, tensors) of each item → tensors [bucket, …]. One item that fills its bucket is passed on as it is.

        Padding rows hold whatever the last batch left there: their results are thrown away.
        """
        rows, tensors = parts[0]
        if rows == bucket and len(parts) == 1 and all(array.flags.aligned for array in tensors.values()):
            return dict(tensors)
        return {name: self._gather_input(name, parts, bucket) for name in self._names}

    def _gather_input(self, name: str, parts: Sequence[tuple[int, Mapping[str, Array]]], bucket: int) -> Array:
        buffer = self._arrays.get(name)
        if buffer is None:  # a free axis: the largest item could be of any size, so nothing can be kept
            buffer = np.zeros((bucket, *parts[0][1][name].shape[1:]), parts[0][1][name].dtype)
        start = 0
        for rows, tensors in parts:
            buffer[start : start + rows] = tensors[name]
            start += rows
        return buffer[:bucket]
