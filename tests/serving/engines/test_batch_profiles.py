from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.manifest import Graph
from serving.engines.batch_profiles import batch_profiles, is_within
from tasks.errors import Unsupported
from tasks.task import TensorSpec

LOGITS = TensorSpec(name="logits", dtype="FP32", shape=(-1, 5))


def graph(*shape: int) -> Graph:
    image = TensorSpec(name="image", dtype="UINT8", shape=shape)
    return Graph(file="model.onnx", inputs=(image,), outputs=(LOGITS,))


def test_each_bucket_has_a_profile_and_the_last_takes_everything_smaller() -> None:
    profiles = batch_profiles(graph(-1, 32, 32, 3), (1, 4, 16), ((32, 32),))
    assert [tuple(profile["image"]) for profile in profiles] == [
        ((1, 32, 32, 3), (1, 32, 32, 3), (1, 32, 32, 3)),
        ((4, 32, 32, 3), (4, 32, 32, 3), (4, 32, 32, 3)),
        ((1, 32, 32, 3), (16, 32, 32, 3), (16, 32, 32, 3)),
    ]


def test_a_graph_of_any_size_gets_the_sizes_of_the_manifest() -> None:
    profiles = batch_profiles(graph(-1, -1, -1, 3), (1, 8), ((64, 48), (32, 96)))
    assert tuple(profiles[0]["image"]) == ((1, 64, 48, 3),) * 3
    assert tuple(profiles[-1]["image"]) == ((1, 32, 48, 3), (8, 64, 48, 3), (8, 64, 96, 3))


@pytest.mark.parametrize(("shape", "axis"), [((-1, 32, 32, -1), 3), ((-1, -1), 1)])
def test_an_axis_that_nobody_knows_is_refused(shape: tuple[int, ...], axis: int) -> None:
    with pytest.raises(Unsupported, match=f"how large axis {axis} gets"):
        batch_profiles(graph(*shape), (1,), ((32, 32),))


@given(
    buckets=st.sets(st.integers(1, 64), min_size=1),
    batch=st.integers(0, 80),
    size=st.sampled_from([(32, 32), (64, 48), (16, 16), (128, 32)]),
)
def test_every_batch_up_to_the_largest_is_within_the_last_profile(
    buckets: set[int], batch: int, size: tuple[int, int]
) -> None:
    profiles = batch_profiles(graph(-1, -1, -1, 3), sorted(buckets), ((64, 48), (32, 32)))
    expected = 1 <= batch <= max(buckets) and size in ((32, 32), (64, 48))
    assert is_within({"image": (batch, *size, 3)}, profiles[-1]) == expected
    for bucket, profile in zip(sorted(buckets), profiles, strict=True):
        assert is_within({"image": (bucket, 64, 48, 3)}, profile)


def test_a_tensor_of_another_rank_is_not_within() -> None:
    profiles = batch_profiles(graph(-1, 32, 32, 3), (4,), ((32, 32),))
    assert not is_within({"image": (32, 32, 3)}, profiles[-1])
