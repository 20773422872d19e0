from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from export.triton.model_config import (
    AGREED,
    LONGEST_WAIT_US,
    Backend,
    add_version,
    build_config,
    check_agrees,
    knows,
    print_config,
    read_config,
)
from registry.manifest import Graph, Requirements
from serving.runtimes.onnx_runtime import NUMPY_TYPES
from serving.runtimes.triton_origin import Origin
from tasks.errors import Conflict, InvalidPackage, Unsupported
from tasks.task import TensorSpec

IMAGE = TensorSpec(name="image", dtype="UINT8", shape=(-1, 32, -1, 3))
LOGITS = TensorSpec(name="logits", dtype="FP32", shape=(-1, 5))
GRAPH = Graph(file="model.onnx", inputs=(IMAGE,), outputs=(LOGITS,))
OURS, OTHER = Origin(digest="a" * 64, variant="int8"), Origin(digest="b" * 64, variant="int8")


def config_of(
    graph: Graph = GRAPH, backend: Backend = "onnxruntime", provider: str = "cpu"
) -> model_config_pb2.ModelConfig:
    return build_config("colours", graph, (1, 4, 8), Requirements(provider=provider), backend)


def test_a_batch_is_formed_without_waiting_in_the_sizes_of_the_package() -> None:
    config = config_of()
    assert (config.name, config.backend, config.max_batch_size) == ("colours", "onnxruntime", 8)
    assert list(config.dynamic_batching.preferred_batch_size) == [4, 8]
    assert config.dynamic_batching.max_queue_delay_microseconds == 0
    policy = config.dynamic_batching.default_queue_policy
    assert (policy.allow_timeout_override, policy.default_timeout_microseconds) == (True, LONGEST_WAIT_US)
    assert list(config.input[0].dims) == [32, -1, 3], "the batch axis is implied"
    assert config.input[0].data_type == model_config_pb2.TYPE_UINT8
    assert config.version_policy.HasField("all"), "champion and challenger are there at once"


@pytest.mark.parametrize(
    ("backend", "provider", "kind", "file"),
    [
        ("onnxruntime", "cpu", "KIND_AUTO", "model.onnx"),
        ("onnxruntime", "cuda", "KIND_GPU", "model.onnx"),
        ("tensorrt", "cpu", "KIND_GPU", "model.plan"),
        ("python", "cpu", "KIND_CPU", "model.py"),
    ],
)
def test_what_needs_a_gpu_does_not_start_without(backend: Backend, provider: str, kind: str, file: str) -> None:
    config = config_of(backend=backend, provider=provider)
    assert [model_config_pb2.ModelInstanceGroup.Kind.Name(group.kind) for group in config.instance_group] == [kind]
    assert config.default_model_filename == file


def test_what_is_for_a_gpu_is_refused_where_processors_would_run_it() -> None:
    with pytest.raises(Unsupported, match=r"is for GPUs, and backend python runs on processors: .*--variant"):
        config_of(backend="python", provider="cuda")


@given(
    names=st.lists(st.text(min_size=1), min_size=2, max_size=6, unique=True),
    dtypes=st.lists(st.sampled_from([*NUMPY_TYPES, "BYTES", "BF16"]), min_size=6, max_size=6),
    shapes=st.lists(st.lists(st.integers(-1, 4096).filter(bool), max_size=4), min_size=6, max_size=6),
    backend=st.sampled_from(["onnxruntime", "tensorrt", "python"]),
)
def test_any_tensors_come_out_of_the_parser_as_they_went_in(
    names: list[str],
    dtypes: list[str],
    shapes: list[list[int]],
    backend: Backend,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    specs = [
        TensorSpec(name=name, dtype=dtype, shape=(-1, *shape))
        for name, dtype, shape in zip(names, dtypes, shapes, strict=False)
    ]
    config = config_of(Graph(file="m.onnx", inputs=tuple(specs[:1]), outputs=tuple(specs[1:])), backend)
    path = tmp_path_factory.mktemp("config") / "config.pbtxt"
    path.write_text(print_config(config), "utf-8")
    read = read_config(path)
    assert read == config
    assert [tensor.name for tensor in (*read.input, *read.output)] == names
    for tensor, spec in zip((*read.input, *read.output), specs, strict=True):
        assert tuple(tensor.dims) == spec.shape[1:]


def test_a_version_is_known_by_the_package_it_was_made_from() -> None:
    config = config_of()
    assert not knows(config, "3", OURS)
    add_version(config, "3", OURS, [])
    add_version(config, "4", OTHER, [])
    assert knows(config, "3", OURS)
    with pytest.raises(Conflict, match=r"version 3 of 'colours' .* package aaaa.* this is variant 'int8' of .* bbbb"):
        knows(config, "3", OTHER)


def test_an_engine_is_used_with_all_its_profiles() -> None:
    assert list(config_of(backend="tensorrt").instance_group[0].profile) == ["0", "1", "2"]
    fewer = build_config("colours", GRAPH, (1, 8), Requirements(), "tensorrt")
    with pytest.raises(Conflict, match="another number of batch sizes: 3, and this one 2"):
        check_agrees(config_of(backend="tensorrt"), fewer)


@pytest.mark.parametrize("field", AGREED[1:])
def test_versions_that_can_not_share_a_configuration_are_refused(field: str) -> None:
    there, new = config_of(), config_of()
    check_agrees(there, new)
    if field == "backend":
        new.backend = "python"
    elif field == "max_batch_size":
        new.max_batch_size = 16
    else:
        getattr(new, field)[0].dims.append(7)
    with pytest.raises(Conflict, match=f"another {field}: .*export into another folder"):
        check_agrees(there, new)


def test_a_tensor_of_fixed_batch_is_refused() -> None:
    fixed = TensorSpec(name="logits", dtype="FP32", shape=(4, 5))
    with pytest.raises(InvalidPackage, match=r"'logits' of 'colours' is \[4, 5\] and has no free batch axis"):
        config_of(Graph(file="m.onnx", inputs=(IMAGE,), outputs=(fixed,)))


def test_a_file_that_triton_could_not_parse_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.pbtxt"
    path.write_text('name: "x"\nmax_batch: 3\n')
    with pytest.raises(InvalidPackage, match=r"config.pbtxt is no configuration .*max_batch"):
        read_config(path)
