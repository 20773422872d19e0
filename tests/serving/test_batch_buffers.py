from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.batch_buffers import BatchBuffers
from tasks.task import TensorSpec

X = TensorSpec(name="x", dtype="FP32", shape=(-1, 2))
FREE = TensorSpec(name="x", dtype="FP32", shape=(-1, -1, 3))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(0, 5))
def test_rows_lie_in_order_whatever_was_there_before(sizes: list[int], padding: int) -> None:
    buffers = BatchBuffers([X], 25)
    buffers.gather([(25, {"x": np.full((25, 2), 99, np.float32)}), (0, {"x": np.zeros((0, 2), np.float32)})], 25)
    values = np.arange(sum(sizes) * 2, dtype=np.float32).reshape(-1, 2)
    parts = [(len(piece), {"x": piece}) for piece in np.split(values, np.cumsum(sizes)[:-1])]
    gathered = buffers.gather(parts, len(values) + padding)["x"]
    assert gathered.shape == (len(values) + padding, 2)
    np.testing.assert_array_equal(gathered[: len(values)], values)


def test_one_item_that_fills_its_bucket_is_not_copied() -> None:
    array = np.ones((2, 2), np.float32)
    assert BatchBuffers([X], 4).gather([(2, {"x": array})], 2)["x"] is array


def test_an_unaligned_tensor_is_copied_to_where_the_runtime_may_read_it() -> None:
    unaligned = np.frombuffer(b"_" + np.ones(4, np.float32).tobytes(), np.float32, offset=1).reshape(2, 2)
    gathered = BatchBuffers([X], 4).gather([(2, {"x": unaligned})], 2)["x"]
    assert gathered.flags.aligned
    np.testing.assert_array_equal(gathered, 1)


def test_a_free_axis_takes_the_size_of_what_comes() -> None:
    parts = [(1, {"x": np.full((1, 7, 3), value, np.float32)}) for value in (1, 2)]
    gathered = BatchBuffers([FREE], 4).gather(parts, 4)["x"]
    assert gathered.shape == (4, 7, 3)
    assert gathered[:2, 0, 0].tolist() == [1, 2]
