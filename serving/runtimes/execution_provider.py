"""Where ONNX Runtime executes a graph, in its own words and ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from serving.runtimes.fp32_products import Fp32Products

Provider = Literal["cpu", "cuda"]
PROVIDER_NAMES: Mapping[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def provider_entry(provider: Provider, fp32_products: Fp32Products) -> str | tuple[str, dict[str, str]]:
    """As a session is told of it. CUDA's arena grows by what is asked for, so that memory follows the warmed batch
    sizes and no more. It multiplies in TF32 unless it is told not to."""
    if provider == "cpu":
        return PROVIDER_NAMES[provider]
    options = {"arena_extend_strategy": "kSameAsRequested", "use_tf32": str(int(fp32_products == "tf32"))}
    return PROVIDER_NAMES[provider], options
