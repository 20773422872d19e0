"""Tensors as bytes and as JSON, as the Open Inference Protocol spells them.

Everything here takes untrusted data: what does not add up raises BadInput, and nothing else is ever raised.
Binary data is little-endian; a decoded tensor is a view of the caller's bytes wherever that is possible.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
import numpy as np

from tasks.errors import BadInput, TooLarge
from tasks.task import Array

Buffer = bytes | bytearray | memoryview
MAX_DIMENSIONS = 16
NUMPY_DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
"""Datatype → what an array of it holds. BF16, which numpy lacks, is held as float32 (an exact widening)."""

DATATYPES: Mapping[np.dtype[Any], str] = {dtype: name for name, dtype in NUMPY_DTYPES.items()}
BYTES_PREFIX = struct.Struct("<I")
MAX_BYTES_ELEMENTS = 2**16
"""Elements of a BYTES tensor: each becomes a Python object, and an empty one costs its sender four bytes."""


def datatype_of(array: Array) -> str:
    """The protocol's word for an array's element type."""
    return DATATYPES[array.dtype]


def count_elements(name: str, shape: Sequence[int]) -> int:
    """How many elements a shape spans. Raises BadInput for a negative size or an absurd number of dimensions."""
    if len(shape) > MAX_DIMENSIONS:
        raise BadInput(f"tensor {name!r} has {len(shape)} dimensions; at most {MAX_DIMENSIONS} are accepted")
    if shape and min(shape) < 0:
        raise BadInput(f"tensor {name!r} has shape {list(shape)}; sizes must not be negative")
    return math.prod(shape)


def dtype_of(name: str, datatype: str) -> np.dtype[Any]:
    """Raises BadInput for a datatype that the protocol does not know."""
    found = NUMPY_DTYPES.get(datatype)
    if found is None:
        known = ", ".join([*NUMPY_DTYPES, "BF16"])
        raise BadInput(f"tensor {name!r} has datatype {datatype!r}; known datatypes are {known}")
    return found


def decode_binary(name: str, datatype: str, shape: Sequence[int], data: Buffer) -> Array:
    """The raw form of a tensor → array of `shape`, read-only where the buffer is. Raises BadInput."""
    count = count_elements(name, shape)
    if datatype == "BYTES":
        return shaped(name, split_elements(name, count, data), shape)
    if datatype == "BF16":
        return shaped(name, decode_bf16(name, count, data), shape)
    dtype = dtype_of(name, datatype)
    check_num_bytes(name, datatype, shape, count * dtype.itemsize, len(data))
    flat: Array = np.frombuffer(data, dtype)
    if datatype == "BOOL" and count and flat.view(np.uint8).max() > 1:
        raise BadInput(f"tensor {name!r}: a BOOL is one byte, 0 or 1; got {int(flat.view(np.uint8).max())}")
    return shaped(name, flat, shape)


def shaped(name: str, flat: Array, shape: Sequence[int]) -> Array:
    """`flat` has the right number of elements; an empty tensor may still claim sizes that no array can have."""
    try:
        return flat.reshape(shape)
    except (ValueError, OverflowError) as error:
        raise BadInput(f"tensor {name!r}: shape {list(shape)} is impossible ({error})") from error


def check_num_bytes(name: str, datatype: str, shape: Sequence[int], expected: int, got: int) -> None:
    if got != expected:
        raise BadInput(f"tensor {name!r}: {datatype} {list(shape)} takes {expected} bytes, and {got} were sent")


def decode_bf16(name: str, count: int, data: Buffer) -> Array:
    """BF16 is the upper half of an FP32."""
    check_num_bytes(name, "BF16", (count,), count * 2, len(data))
    widened: Array = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    return widened


def split_elements(name: str, count: int, data: Buffer) -> Array:
    """Length-prefixed elements → object array [count] of bytes. Raises BadInput unless they fill `data` exactly."""
    # Checked before anything is allocated: `count` comes from the caller, and each element takes four bytes at least.
    if count * BYTES_PREFIX.size > len(data):
        raise BadInput(f"tensor {name!r} promises {count} BYTES elements, and {len(data)} bytes can not hold them")
    check_num_elements(name, count)
    view, elements, offset = memoryview(data), np.empty(count, object), 0
    for index in range(count):
        start = offset + BYTES_PREFIX.size
        length = BYTES_PREFIX.unpack_from(view, offset)[0] if start <= len(view) else 0
        offset = start + length
        if offset > len(view):
            raise BadInput(f"tensor {name!r}: element {index} ends at byte {offset}, after the {len(view)} bytes sent")
        elements[index] = bytes(view[start:offset])
    if offset != len(view):
        raise BadInput(f"tensor {name!r}: {count} BYTES elements take {offset} bytes, and {len(view)} were sent")
    return elements


def check_num_elements(name: str, count: int) -> None:
    """How many BYTES elements a tensor may have. Raises TooLarge."""
    if count > MAX_BYTES_ELEMENTS:
        raise TooLarge(f"tensor {name!r} has {count} BYTES elements; at most {MAX_BYTES_ELEMENTS} are accepted")


def encode_binary(array: Array) -> bytes | memoryview:
    """An array as a buffer of its raw form; BYTES elements get their length prefix."""
    if array.dtype == object:
        return b"".join([part for element in array.flat for part in (BYTES_PREFIX.pack(len(element)), element)])
    return np.ascontiguousarray(array).data


JSON_TYPES: Mapping[str, Any] = {"b": bool, "u": int, "i": int, "f": float, "O": str}
BINARY_ONLY = ("FP16", "BF16")


def decode_json(name: str, datatype: str, shape: Sequence[int], data: bytes | memoryview) -> Array:
    """The JSON form of a tensor, nested or flat, row-major → array of `shape`. Raises BadInput."""
    count = count_elements(name, shape)
    if datatype in BINARY_ONLY:
        raise BadInput(f"tensor {name!r}: {datatype} can not be written in JSON; send it in binary form")
    if datatype == "BYTES":
        check_num_elements(name, count)
    dtype = dtype_of(name, datatype)
    depth = nesting_depth(data)
    if depth not in (1, len(shape)):
        raise BadInput(f"tensor {name!r}: data is nested {depth} deep; shape {list(shape)} wants {len(shape)} or 1")
    try:
        values = nested_decoder(JSON_TYPES[dtype.kind], depth)(data)
        with np.errstate(over="ignore"):
            array = np.array(values, dtype, ndmin=1)
    except (msgspec.MsgspecError, OverflowError, ValueError, RecursionError) as error:
        raise BadInput(f"tensor {name!r}: data is not a {datatype} tensor of {list(shape)} ({error})") from error
    if array.size != count or (depth > 1 and array.shape != tuple(shape)):
        raise BadInput(f"tensor {name!r}: data has shape {list(array.shape)}, and {list(shape)} was promised")
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise BadInput(f"tensor {name!r}: a number is too large for {datatype}")
    if datatype == "BYTES":
        return shaped(name, encode_texts(array.reshape(-1)), shape)
    return shaped(name, array.reshape(-1), shape)


def encode_texts(texts: Array) -> Array:
    encoded = np.empty(texts.shape, object)
    encoded[:] = [text.encode() for text in texts]
    return encoded


def nesting_depth(data: bytes | memoryview) -> int:
    """How many lists JSON opens before its first element. Beyond `MAX_DIMENSIONS` the exact number does not matter."""
    head, depth = bytes(data[:256]), 0
    for byte in head:
        if byte == ord("["):
            depth += 1
        elif byte not in b" \t\r\n":
            break
    return depth


@cache
def nested_decoder(element: type, depth: int) -> Callable[[bytes | memoryview], Any]:
    """A strict parser of `depth` lists around `element`: no strings for numbers, no fractions for whole numbers."""
    wanted: Any = element
    for _ in range(depth):
        wanted = list[wanted]
    return msgspec.json.Decoder(wanted).decode


def encode_json(name: str, array: Array) -> list[Any]:
    """An array as the flat list that its JSON form holds. Raises BadInput for what JSON can not say."""
    if array.dtype == np.float16:
        raise BadInput(f"output {name!r} is FP16, which can not be written in JSON; ask for it in binary form")
    if array.dtype != object:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise BadInput(f"output {name!r} holds NaN or infinity, which JSON can not say; ask for it in binary form")
        flat: list[Any] = array.reshape(-1).tolist()
        return flat
    try:
        return [element.decode() for element in array.flat]
    except UnicodeDecodeError as error:
        raise BadInput(f"output {name!r} is not text; ask for it in binary form") from error


def classify(array: Array, num_classes: int, labels: Sequence[str]) -> Array:
    """The classification extension: scores [batch, classes] → BYTES [batch, n] "value:index[:label]", best first."""
    flat = array.reshape(len(array), -1)
    ranked = np.argsort(-flat.astype(np.float64), axis=1, kind="stable")[:, :num_classes]
    named = np.empty(ranked.shape, object)
    for row, column in np.ndindex(*ranked.shape):
        index = int(ranked[row, column])
        text = f"{float(flat[row, index]):f}:{index}" + (f":{labels[index]}" if labels else "")
        named[row, column] = text.encode()
    return named
