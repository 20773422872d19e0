"""Requests and answers of the Open Inference Protocol, spelled out by hand."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from tests.handmade import picture

SIZE = 32
INFER = "/v2/models/colours/infer"
CLASSIFY = "/v1/models/colours/classify"
LENGTH = "Inference-Header-Content-Length"
IMAGES = picture(7, SIZE, SIZE)[None]
"""uint8 [1, 32, 32, 3]"""


def in_binary(message: dict[str, Any], *tensors: bytes) -> dict[str, Any]:
    """Body and headers of the binary tensor extension."""
    head = json.dumps(message).encode()
    return {"content": b"".join((head, *tensors)), "headers": {LENGTH: str(len(head))}}


def bytes_tensor(*elements: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def image_in_binary(image: np.ndarray, **fields: Any) -> dict[str, Any]:
    facts = {"name": "image", "datatype": "UINT8", "shape": list(image.shape)}
    facts["parameters"] = {"binary_data_size": image.nbytes}
    return in_binary({"inputs": [facts], **fields}, image.tobytes())


def binary_outputs(response: Any) -> dict[str, bytes]:
    """Output name → raw bytes of a response."""
    length = int(response.headers[LENGTH])
    rest, found = response.content[length:], {}
    for output in json.loads(response.content[:length])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        found[output["name"]], rest = rest[:size], rest[size:]
    assert rest == b""
    return found


def image_input(**changes: Any) -> dict[str, Any]:
    """One grey picture as JSON, with some of its facts replaced."""
    data = np.full(SIZE * SIZE * 3, 128).tolist()
    return {"name": "image", "datatype": "UINT8", "shape": [1, SIZE, SIZE, 3], "data": data} | changes
