from __future__ import annotations

from serving.runtimes.execution_provider import provider_entry


def test_a_gpu_multiplies_in_full_unless_a_deployment_wants_less() -> None:
    assert provider_entry("cuda", "fp32") == (
        "CUDAExecutionProvider",
        {"arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"},
    )
    assert provider_entry("cuda", "tf32") == (
        "CUDAExecutionProvider",
        {"arena_extend_strategy": "kSameAsRequested", "use_tf32": "1"},
    )


def test_a_processor_has_no_options() -> None:
    assert provider_entry("cpu", "tf32") == "CPUExecutionProvider"
