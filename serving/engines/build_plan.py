"""TensorRT's builder: an ONNX file and the shapes that it will see → an engine for the GPU that this runs on.

Written against the Python interface of TensorRT 10.13 to 11.4. Networks are strongly typed: each tensor has the type
that the graph gives it, so that a precision is what the package says and nothing the builder chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from serving.engines.batch_profiles import BatchProfile
from serving.engines.engine_key import BuildSettings
from serving.runtimes.tensorrt_library import Complaints, tensorrt
from tasks.errors import Unsupported


class BuiltPlan(NamedTuple):
    """`timings`: the speed of kernels as measured on the way, for the next build."""

    plan: bytes
    timings: bytes


def build_plan(graph: Path, profiles: Sequence[BatchProfile], settings: BuildSettings, timings: bytes) -> BuiltPlan:
    """Takes minutes, and the GPU. Raises Unsupported for a graph that TensorRT does not take, NotReady where building
    fails."""
    complaints = Complaints()
    builder = complaints.create(tensorrt().Builder, complaints.logger)
    network = parse(builder, graph, complaints)
    config = complaints.require(builder.create_builder_config(), "make a configuration")
    apply_settings(config, settings)
    use_timings(config, timings, complaints)
    for profile in profiles:
        add_profile(builder, config, profile, complaints)
    plan = complaints.require(builder.build_serialized_network(network, config), f"build {graph}")
    measured = complaints.require(config.get_timing_cache(), "hand out its times")
    return BuiltPlan(bytes(plan), bytes(measured.serialize()))


def parse(builder: Any, graph: Path, complaints: Complaints) -> Any:
    """The network. By its path, because weights may lie beside the file."""
    module = tensorrt()
    # Release 11 has no other networks and passes over the flag.
    strongly_typed = 1 << int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = complaints.require(builder.create_network(strongly_typed), "make a network")
    parser = complaints.create(module.OnnxParser, network, complaints.logger)
    if not parser.parse_from_file(str(graph)):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        reasons = "; ".join(f"{error.node_operator()} {error.node_name()!r}: {error.desc()}" for error in errors)
        raise Unsupported(f"TensorRT does not take {graph}: {reasons or complaints.text()}")
    return network


def apply_settings(config: Any, settings: BuildSettings) -> None:
    flags = tensorrt().BuilderFlag
    config.builder_optimization_level = settings.optimization_level
    # Weights are left as they are: where two of four are zero anyway, kernels that skip them may be chosen.
    config.set_flag(flags.SPARSE_WEIGHTS)
    if settings.fp32_products == "tf32":
        config.set_flag(flags.TF32)
    else:
        config.clear_flag(flags.TF32)


def use_timings(config: Any, timings: bytes, complaints: Complaints) -> None:
    """Times of another driver or GPU are refused by TensorRT, and measured anew."""
    known = config.create_timing_cache(timings)
    if known is None or not config.set_timing_cache(known, False):
        empty = complaints.require(config.create_timing_cache(b""), "make a cache of times")
        complaints.require(config.set_timing_cache(empty, False), "use a cache of times")


def add_profile(builder: Any, config: Any, shapes: BatchProfile, complaints: Complaints) -> None:
    profile = complaints.require(builder.create_optimization_profile(), "make a profile")
    for name, (smallest, usual, largest) in shapes.items():
        complaints.create(profile.set_shape, name, smallest, usual, largest)
    complaints.require(bool(profile), f"use the shapes {shapes}")
    complaints.require(config.add_optimization_profile(profile), f"use the shapes {shapes}")
