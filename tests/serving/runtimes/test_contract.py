"""What schedulers rely on, whichever runtime executes a graph. One file for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest

from serving.runtimes.runtime import Runtime
from tasks.errors import BadInput, NotReady, Unsupported
from tests.serving.runtimes.contract import (
    BATCH_BUCKETS,
    CASES,
    INPUTS,
    OUTPUTS,
    RUNTIMES,
    ContractGraph,
    compute,
    make_inputs,
    write_graph,
)

TOLERANCE = 1e-4
"""Of sums in another order; no runtime may multiply in less than 32 bits here."""


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> ContractGraph:
    return write_graph(tmp_path_factory.mktemp("contract"))


@pytest.fixture(scope="module", params=CASES)
def runtime(request: pytest.FixtureRequest, graph: ContractGraph) -> Iterator[Runtime]:
    opened = RUNTIMES[request.param](graph)
    yield opened
    opened.close()


@pytest.fixture(params=CASES)
def own_runtime(request: pytest.FixtureRequest, graph: ContractGraph) -> Runtime:
    """One that the test may close."""
    return RUNTIMES[request.param](graph)


def test_it_says_what_goes_in_and_what_comes_out(runtime: Runtime) -> None:
    assert runtime.inputs == INPUTS
    assert runtime.outputs == OUTPUTS
    assert runtime.slots >= 1


def test_it_says_whether_it_takes_cores_from_others(runtime: Runtime, request: pytest.FixtureRequest) -> None:
    assert runtime.on_cpu == (request.node.callspec.params["runtime"] in {"fake", "onnxruntime"})


@pytest.mark.parametrize("num_rows", range(1, BATCH_BUCKETS[-1] + 1))
def test_every_batch_up_to_the_largest_is_computed(runtime: Runtime, num_rows: int) -> None:
    inputs = make_inputs(num_rows, num_rows)
    outputs = runtime.run(inputs)
    assert list(outputs) == [spec.name for spec in OUTPUTS]
    for name, expected in compute(inputs).items():
        assert outputs[name].dtype == expected.dtype
        np.testing.assert_allclose(outputs[name], expected, atol=TOLERANCE)


def test_outputs_are_chosen_by_name(runtime: Runtime) -> None:
    inputs = make_inputs(0, 3)
    assert list(runtime.run(inputs, outputs=["brightness"])) == ["brightness"]
    assert list(runtime.run(inputs, outputs=["brightness", "colour"])) == ["brightness", "colour"]
    np.testing.assert_allclose(
        runtime.run(inputs, outputs=["brightness"])["brightness"], compute(inputs)["brightness"], atol=TOLERANCE
    )


def test_arrays_may_lie_in_memory_as_they_like(runtime: Runtime) -> None:
    whole = make_inputs(1, 6)
    every_other = {name: array[::-2] for name, array in whole.items()}
    np.testing.assert_allclose(runtime.run(every_other)["colour"], compute(every_other)["colour"], atol=TOLERANCE)


def test_what_was_returned_stays(runtime: Runtime) -> None:
    for num_rows in (BATCH_BUCKETS[1], BATCH_BUCKETS[1] - 1):
        first, second = (make_inputs(seed, num_rows) for seed in (2, 3))
        returned = runtime.run(first)
        runtime.run(second)
        np.testing.assert_allclose(returned["colour"], compute(first)["colour"], atol=TOLERANCE)
        returned["colour"][:] = 0
        np.testing.assert_allclose(runtime.run(first)["colour"], compute(first)["colour"], atol=TOLERANCE)


def test_inputs_are_left_as_they_are(runtime: Runtime) -> None:
    inputs, same = make_inputs(4, 3), make_inputs(4, 3)
    runtime.run(inputs)
    for name, array in inputs.items():
        np.testing.assert_array_equal(array, same[name])


def test_as_many_threads_as_slots_may_run_at_once(runtime: Runtime) -> None:
    batches = [make_inputs(seed, 1 + seed % BATCH_BUCKETS[-1]) for seed in range(8 * runtime.slots)]
    with ThreadPoolExecutor(runtime.slots) as pool:
        answers = list(pool.map(runtime.run, batches))
    for inputs, outputs in zip(batches, answers, strict=True):
        np.testing.assert_allclose(outputs["colour"], compute(inputs)["colour"], atol=TOLERANCE)


def test_what_the_graph_does_not_take_is_refused_and_named(runtime: Runtime) -> None:
    good = make_inputs(5, 2)
    for wrong, complaint in (
        ({"image": good["image"]}, "'offset' is missing"),
        ({**good, "mask": good["image"]}, "no input 'mask'"),
        ({**good, "image": good["image"].astype(np.float32)}, "'image' is float32; the graph takes UINT8"),
        ({**good, "image": good["image"][:, :-1]}, r"'image' has shape \[2, 3, 6, 3\]"),
        ({**good, "image": good["image"][0]}, r"'image' has shape \[4, 6, 3\]"),
    ):
        with pytest.raises(BadInput, match=complaint):
            runtime.run(wrong)
    with pytest.raises(BadInput, match="no output 'logits'"):
        runtime.run(good, outputs=["logits"])
    np.testing.assert_allclose(runtime.run(good)["colour"], compute(good)["colour"], atol=TOLERANCE)


def test_outputs_stay_on_the_device_or_that_is_refused(runtime: Runtime) -> None:
    spec = msgspec.structs.replace(OUTPUTS[0], shape=(3, 3))
    try:
        colour = runtime.allocate(spec)
    except Unsupported:
        with pytest.raises(Unsupported):
            runtime.bind({}, {})
        return
    np.testing.assert_array_equal(colour.to_numpy(), np.zeros((3, 3), np.float32))
    inputs = make_inputs(6, 3)
    assert "colour" not in runtime.run(inputs, outputs={"colour": colour})
    np.testing.assert_allclose(colour.to_numpy(), compute(inputs)["colour"], atol=TOLERANCE)
    binding = runtime.bind({}, {"colour": colour})
    for seed in (7, 8):
        inputs = make_inputs(seed, 3)
        returned = binding.run(inputs)
        assert list(returned) == ["brightness"]
        np.testing.assert_allclose(returned["brightness"], compute(inputs)["brightness"], atol=TOLERANCE)
        np.testing.assert_allclose(colour.to_numpy(), compute(inputs)["colour"], atol=TOLERANCE)


def test_inputs_are_read_where_they_lie_on_the_device(runtime: Runtime) -> None:
    try:
        offset = runtime.allocate(msgspec.structs.replace(INPUTS[1], shape=(5, 1)))
    except Unsupported:
        return
    image = make_inputs(9, 2)["image"]
    expected = compute({"image": image, "offset": np.zeros((2, 1), np.float32)})
    returned = runtime.run({"image": image, "offset": offset.rows(1, 3)})
    np.testing.assert_allclose(returned["colour"], expected["colour"], atol=TOLERANCE)


def test_rows_in_the_middle_of_a_tensor_on_the_device_are_written_to(runtime: Runtime) -> None:
    try:
        colour = runtime.allocate(msgspec.structs.replace(OUTPUTS[0], shape=(6, 3)))
    except Unsupported:
        return
    inputs = make_inputs(11, 3)
    runtime.run(inputs, outputs={"colour": colour.rows(2, 5)})
    expected = np.zeros((6, 3), np.float32)
    expected[2:5] = compute(inputs)["colour"]
    np.testing.assert_allclose(colour.to_numpy(), expected, atol=TOLERANCE)


def test_closing_is_final_and_may_be_done_twice(own_runtime: Runtime) -> None:
    own_runtime.run(make_inputs(10, 1))
    own_runtime.close()
    own_runtime.close()
    with pytest.raises(NotReady, match="closed"):
        own_runtime.run(make_inputs(10, 1))
