from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from serving.oip.codec import (
    NUMPY_DTYPES,
    classify,
    datatype_of,
    decode_binary,
    decode_json,
    encode_binary,
    encode_json,
)
from tasks.errors import BadInput

NUMERIC = sorted(set(NUMPY_DTYPES) - {"BYTES"})
shapes = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)


@st.composite
def numeric_arrays(draw: st.DrawFn, datatypes: Sequence[str] = NUMERIC) -> np.ndarray:
    dtype = NUMPY_DTYPES[draw(st.sampled_from(datatypes))]
    elements = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    return draw(hnp.arrays(dtype, draw(shapes), elements=hnp.from_dtype(dtype, **elements)))


@st.composite
def bytes_arrays(draw: st.DrawFn, element: st.SearchStrategy[bytes]) -> np.ndarray:
    shape = draw(shapes)
    flat = np.empty(int(np.prod(shape)), object)
    flat[:] = draw(st.lists(element, min_size=flat.size, max_size=flat.size))
    return flat.reshape(shape)


def nested(array: np.ndarray) -> Any:
    return array.tolist()


@given(numeric_arrays())
def test_binary_numbers_come_back(array: np.ndarray) -> None:
    decoded = decode_binary("x", datatype_of(array), array.shape, bytes(encode_binary(array)))
    np.testing.assert_array_equal(decoded, array)
    assert decoded.dtype == array.dtype


@given(bytes_arrays(st.binary(max_size=8)))
def test_binary_elements_come_back_and_are_spelled_as_tritonclient_does(array: np.ndarray) -> None:
    raw = encode_binary(array)
    np.testing.assert_array_equal(decode_binary("x", "BYTES", array.shape, raw), array)
    if array.size:
        assert raw == serialize_byte_tensor(array).item()
        assert deserialize_bytes_tensor(raw).tolist() == array.reshape(-1).tolist()


@given(numeric_arrays([name for name in NUMERIC if name != "FP16"]), st.booleans())
def test_json_numbers_come_back_flat_and_nested(array: np.ndarray, flat: bool) -> None:
    values = encode_json("x", array) if flat else nested(array)
    if not array.size and not flat:
        return  # an empty nested list does not say how deep it is
    decoded = decode_json("x", datatype_of(array), array.shape, json.dumps(values).encode())
    np.testing.assert_array_equal(decoded, array)
    assert decoded.dtype == array.dtype


@given(bytes_arrays(st.text(max_size=5).map(str.encode)))
def test_json_texts_come_back(array: np.ndarray) -> None:
    text = json.dumps(encode_json("x", array)).encode()
    np.testing.assert_array_equal(decode_json("x", "BYTES", array.shape, text), array)


@given(
    st.sampled_from([*NUMPY_DTYPES, "BF16", "", "FP8"]),
    st.lists(st.integers(-2, 5) | st.sampled_from([2**31, 2**63, 10**30]), max_size=20),
    st.binary(max_size=64),
)
def test_random_binary_is_a_tensor_or_bad_input(datatype: str, shape: list[int], data: bytes) -> None:
    try:
        decoded = decode_binary("x", datatype, shape, data)
    except BadInput:
        return
    assert decoded.shape == tuple(shape)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3),
)


@given(
    st.sampled_from([*NUMPY_DTYPES, "BF16", "FP8"]),
    st.lists(st.integers(-1, 4) | st.just(2**63), max_size=6),
    json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=30),
)
def test_random_json_is_a_tensor_or_bad_input(datatype: str, shape: list[int], data: bytes) -> None:
    try:
        decoded = decode_json("x", datatype, shape, data)
    except BadInput:
        return
    assert decoded.shape == tuple(shape)


def test_bf16_widens_to_the_float_it_stands_for() -> None:
    upper_halves = np.array([1.0, -2.5, 0.15625], np.float32).view("<u2")[1::2]
    np.testing.assert_array_equal(decode_binary("x", "BF16", (3,), upper_halves.tobytes()), [1.0, -2.5, 0.15625])


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "told"),
    [
        ("UINT8", (1,), b"[256]", "out of bounds"),
        ("INT8", (1,), b"[-129]", "out of bounds"),
        ("INT32", (1,), b"[1.5]", "int"),
        ("INT32", (1,), b"[true]", "int"),
        ("INT32", (1,), b'["1"]', "int"),
        ("INT64", (1,), b"[9223372036854775808]", "INT64"),
        ("BOOL", (1,), b"[1]", "bool"),
        ("FP32", (1,), b"[1e39]", "too large"),
        ("FP32", (1,), b"[NaN]", "malformed"),
        ("FP32", (1,), b"[Infinity]", "malformed"),
        ("FP32", (1,), b"[null]", "float"),
        ("FP16", (1,), b"[1.0]", "binary form"),
        ("BF16", (1,), b"[1.0]", "binary form"),
        ("FP32", (2, 2), b"[[1,2],[3]]", "inhomogeneous"),
        ("FP32", (2, 2), b"[[1,2,3,4]]", "[1, 4]"),
        ("FP32", (2, 2), b"[[[1,2],[3,4]]]", "nested 3 deep"),
        ("FP32", (3,), b"[1,2]", "[3]"),
        ("FP32", (-1,), b"[1]", "negative"),
        ("FP31", (1,), b"[1]", "FP31"),
        ("BYTES", (1,), b"[1]", "str"),
        ("FP32", (1,), b"[" * 10_000, "deep"),
    ],
)
def test_json_that_does_not_add_up_is_told_apart(datatype: str, shape: Any, data: bytes, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        decode_json("x", datatype, shape, data)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "told"),
    [
        ("FP32", (2,), b"1234567", "8 bytes, and 7"),
        ("BOOL", (2,), b"\x00\x02", "one byte"),
        ("BYTES", (1,), b"\x05\x00\x00\x00abc", "after the 7 bytes"),
        ("BYTES", (1,), b"\x01\x00\x00\x00abc", "5 bytes, and 7"),
        ("BYTES", (2**40,), b"\x00\x00\x00\x00", "can not hold"),
        ("UINT8", (0, 2**63), b"", "impossible"),
        ("UINT8", (1,) * 17, b"1", "dimensions"),
    ],
)
def test_binary_that_does_not_add_up_is_told_apart(datatype: str, shape: Any, data: bytes, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        decode_binary("x", datatype, shape, data)
    assert told in str(caught.value)


def test_what_json_can_not_say_is_refused_instead_of_sent() -> None:
    for array in (np.array([np.nan], np.float32), np.array([1], np.float16), np.array([b"\xff"], object)):
        with pytest.raises(BadInput, match="binary form"):
            encode_json("x", array)


def test_classification_names_the_best_classes_first() -> None:
    scores = np.array([[0.1, 0.7, 0.2], [3, 1, 2]], np.float32)
    assert classify(scores, 2, ("a", "b", "c")).tolist() == [
        [b"0.700000:1:b", b"0.200000:2:c"],
        [b"3.000000:0:a", b"2.000000:2:c"],
    ]
    assert classify(scores, 9, ()).shape == (2, 3)
