"""What a hostile client sends: every way we know of to get a request wrong, over HTTP and gRPC."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from typing import Any

from tritonclient.grpc import service_pb2

from tests.e2e.conftest import MAX_BODY_BYTES
from tests.handmade import encoded, picture
from tests.serving.wire import CLASSIFY, INFER, LENGTH

JPEG, PNG = encoded(1), encoded(1, "PNG")
FILLER = bytes(MAX_BODY_BYTES - 10_000)
Request = tuple[str, str, dict[str, str], bytes]
"""Method, path, headers, body."""


def header_only_png(width: int, height: int) -> bytes:
    return PNG[:16] + struct.pack(">II", width, height) + PNG[24:]


def form(*parts: tuple[str, bytes], end: bytes = b"--X--\r\n") -> tuple[dict[str, str], bytes]:
    """Headers and body of a form; a part is its disposition and its content."""
    pieces = [b"--X\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (d.encode(), c) for d, c in parts]
    return {"Content-Type": "multipart/form-data; boundary=X"}, b"".join(pieces) + end


def binary_request(shape: list[int], data: bytes, claimed: int | None = None, **fields: Any) -> Request:
    """An inference whose tensor follows the JSON."""
    size = len(data) if claimed is None else claimed
    tensor = {"name": "image", "datatype": "UINT8", "shape": shape, "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [tensor | fields]}).encode()
    return "POST", INFER, {LENGTH: str(len(head))}, head + data


def bad_files() -> Iterator[Request]:
    """What is no picture, or none that can be read."""
    files = (b"", JPEG[:20], JPEG[:-1], PNG[: len(PNG) // 2], b"%PDF-1.4", b"GIF89a", JPEG[:500] + FILLER, FILLER)
    for payload in (*files, header_only_png(10_000, 10_000), header_only_png(2**31 - 1, 2**31 - 1)):
        yield "POST", CLASSIFY, {}, payload
        yield "POST", INFER, {LENGTH: "0"}, payload
    for query in ("top_k=0", "top_k=-1", "top_k=x", "top_k=NaN", "nonsense", "unknown=1", "top_k=" + "9" * 5000):
        yield "POST", f"{CLASSIFY}?{query}", {}, JPEG


def bad_forms() -> Iterator[Request]:
    part = ('name="file"; filename="a"', JPEG)
    forms = [form(), form(("name=top_k", b"1")), form(part, end=b""), form(*[part] * 1000), form(("name=x", b"\xff"))]
    forms.append(form(("name=" + "n" * 100_000, b"")))
    forms.append(({"Content-Type": "multipart/form-data"}, b"--X"))
    yield from (("POST", CLASSIFY, headers, body) for headers, body in forms)


def bad_tensors() -> Iterator[Request]:
    yield binary_request([1, 32, 32, 3], bytes(3071))
    yield binary_request([1, 32, 32, 3], bytes(3072), claimed=2**61)
    yield binary_request([600, 32, 32, 3], bytes(600 * 3072))
    yield binary_request([2**31, 2**31, 2**31], FILLER)
    yield binary_request([-1, 32, 32, 3], FILLER)
    yield binary_request([len(FILLER)], FILLER, name="nobody")
    yield binary_request([len(FILLER) // 4], FILLER, name="encoded_image", datatype="BYTES")
    for text in (
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"[[]," * 400_000,
        b'{"inputs":[' + b"{}," * 400_000,
        b"\xff",
        b"1" * 5000,
    ):
        yield "POST", INFER, {}, text
    for length in ("-1", "1e1", "99", "9" * 30, "²"):
        yield "POST", INFER, {LENGTH: length.encode().decode("latin-1")}, b"{}"


def bad_addresses() -> Iterator[Request]:
    names = ("unknown", "..%2f..%2fetc%2fpasswd", "%ff%fe", "%00", "gr%C3%B6%C3%9Fe", "n" * 50_000, "a%0d%0ab")
    for name in names:
        yield "POST", f"/v1/models/{name}/classify", {}, JPEG
        yield "POST", f"/v2/models/{name}/infer", {}, b"{}"
        yield "GET", f"/v2/models/{name}", {}, b""
    yield "POST", "/v2/models/colours/versions/../infer", {}, b"{}"
    for method in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        yield method, INFER, {}, b""
    for encoding in ("gzip", "deflate", "br", "gzip, gzip"):
        yield "POST", INFER, {"Content-Encoding": encoding}, b"\x1f\x8b" + FILLER


BESIDE_THE_POINT: tuple[Any, ...] = (None, [], {}, "", "n" * 50_000, -1, 2**63, 10**40, 1.5, True, [[]], [2**62, 2**62])


def mutations(node: Any) -> Iterator[Any]:
    """The JSON value with each of its nodes in turn left out, or replaced by something else."""
    yield from BESIDE_THE_POINT
    if isinstance(node, dict):
        for key in node:
            yield {k: v for k, v in node.items() if k != key}
            yield from (node | {key: changed} for changed in mutations(node[key]))
    elif isinstance(node, list) and node:
        yield from ([changed, *node[1:]] for changed in mutations(node[0]))


def mutated_requests() -> Iterator[Request]:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 32, 32, 3], "parameters": {"x": 1}}
    tensor["data"] = picture(1, 32, 32).reshape(-1).tolist()
    output = {"name": "logits", "parameters": {"classification": 2, "binary_data": False}}
    whole = {"id": "1", "parameters": {"timeout": 10**7, "top_k": 1}, "inputs": [tensor], "outputs": [output]}
    for changed in mutations(whole):
        yield "POST", INFER, {}, json.dumps(changed).encode()
    for literal in ("NaN", "Infinity", "1e999", "01", "9" * 5000, '"\\ud800"'):
        yield "POST", INFER, {}, json.dumps(whole).replace("[1, 32", f"[{literal}, 32").encode()


def bad_messages() -> Iterator[bytes]:
    """For ModelInfer."""
    raw = picture(1, 32, 32).tobytes()
    for shape in ([1, 32, 32, 3], [-1, 32, 32, 3], [2**62, 2**62], [0, 2**62, 2**62, 3], [], [1] * 1000):
        for contents in ([], [b""], [raw, raw], [raw[:-1]], [FILLER]):
            message = service_pb2.ModelInferRequest(model_name="colours", raw_input_contents=contents)
            message.inputs.add(name="image", datatype="UINT8", shape=shape)
            yield message.SerializeToString()
    both = service_pb2.ModelInferRequest(model_name="colours", raw_input_contents=[raw])
    both.inputs.add(name="image", datatype="UINT8", shape=[1, 32, 32, 3]).contents.uint_contents.extend([1] * 3072)
    yield both.SerializeToString()
    many = service_pb2.ModelInferRequest(model_name="colours")
    many.inputs.add(name="encoded_image", datatype="BYTES", shape=[500_000]).contents.bytes_contents.extend(
        [b""] * 500_000
    )
    yield many.SerializeToString()
    yield service_pb2.ModelInferRequest(model_name="é" * 500_000).SerializeToString()
    yield from (b"", b"\xff" * 10, both.SerializeToString()[:-5], random.Random(1).randbytes(1000))
