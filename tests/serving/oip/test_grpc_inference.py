"""What a server keeps of requests over gRPC, with an id and without."""

from __future__ import annotations

import tritonclient.grpc.aio as triton

from tests.serving.host_server import until
from tests.serving.oip.test_grpc_stream import image, listening, prompt, stream
from tests.serving.protocol_server import ProtocolServer
from tests.serving.wire import IMAGES


def remembered(server: ProtocolServer, model: str) -> int:
    """Answers that wait for feedback."""
    return server.metrics.feedback.remembered.get(model, 0)


async def test_what_nobody_can_refer_to_is_not_remembered(protocol: ProtocolServer) -> None:
    async with listening(protocol) as address, triton.InferenceServerClient(address) as client:
        for _ in range(3):
            answer = await client.infer(**image(0, request_id=""))
            assert answer.get_response().id == ""  # it was given no id that it could be called by
        await client.infer(**image(0, request_id="order-7"))
    await until(lambda: remembered(protocol, "colours"))
    assert remembered(protocol, "colours") == len(IMAGES)
    feedback = {"request_id": "order-7", "index": 0, "label": "red"}
    assert (await protocol.http.post("/v1/models/colours/feedback", json=feedback)).status_code == 200


async def test_the_same_of_texts_in_a_stream(texts: ProtocolServer) -> None:
    await stream(texts, prompt("Return"), prompt("Return", request_id="order-7"), prompt("Return"))
    await until(lambda: remembered(texts, "tiny"))
    assert remembered(texts, "tiny") == 1
