"""What engines have to fit on this machine."""

from __future__ import annotations

from serving.engines.engine_key import EngineHost
from serving.runtimes.cuda import device_attribute, device_name
from serving.runtimes.tensorrt_library import tensorrt


def detect_engine_host() -> EngineHost:
    """Raises NotReady saying what is missing: TensorRT, the bindings of CUDA, or a GPU."""
    major, minor = (device_attribute(f"cudaDevAttrComputeCapability{part}") for part in ("Major", "Minor"))
    return EngineHost(
        gpu=device_name(),
        compute_capability=f"{major}.{minor}",
        num_multiprocessors=device_attribute("cudaDevAttrMultiProcessorCount"),
        tensorrt=str(tensorrt().__version__),
    )
