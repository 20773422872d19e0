"""Opens the graphs of an export on the host that makes it, whatever they were made for.

Variants for a GPU are proved here too. ONNX Runtime runs float16 on any processor; in place of a bfloat16 graph, for
which it has no such kernels, its float32 twin is opened.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
from onnx import TensorProto

from export.compress.float_twin import write_twin
from serving.runtimes.compute_threads import ONE_THREAD, ComputeThreads
from serving.runtimes.onnx_runtime import OnnxRuntime


def open_on_host(graph: Path, threads: ComputeThreads = ONE_THREAD) -> OnnxRuntime:
    """On the processor. A twin's bfloat16 inputs and outputs (states of decoders) are float32."""
    if not has_bfloat16(onnx.load(graph, load_external_data=False).graph):
        return OnnxRuntime(graph, threads=threads)
    with TemporaryDirectory() as folder:
        twin = Path(folder) / "twin.onnx"
        write_twin(graph, twin)
        return OnnxRuntime(twin, threads=threads)


def has_bfloat16(graph: Any) -> bool:
    """Are weights, inputs or outputs of that type?"""
    kinds = [each.data_type for each in graph.initializer]
    kinds += [each.type.tensor_type.elem_type for each in (*graph.input, *graph.output)]
    return TensorProto.BFLOAT16 in kinds
