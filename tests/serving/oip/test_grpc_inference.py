"""What a server keeps of requests over gRPC, with an id and without."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from registry.package import ModelPackage
from serving.config import ServerConfig
from serving.logs import JsonFormatter
from serving.oip import grpc_inference
from serving.tracing.tracing import open_tracing
from tests.serving.host_server import until
from tests.serving.oip.test_grpc_stream import image, listening, prompt, stream
from tests.serving.protocol_server import ProtocolServer, protocol_server
from tests.serving.tracing.collector import attributes_of, running_collector
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


class Lines(logging.Handler):
    """What a server would write, line by line."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.setFormatter(JsonFormatter())
        self.written: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append(json.loads(self.format(record)))


@pytest.mark.parametrize("sent", ["", "order-7"])
async def test_a_fault_is_found_in_the_log_by_the_id_that_its_trace_has(
    package: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(grpc_inference, "build_response", fail)
    lines, log = Lines(), logging.getLogger("serving.oip.grpc_message")
    log.addHandler(lines)
    try:
        with running_collector() as collector:
            tracing = open_tracing(ServerConfig(traces_url=collector.url, trace_share=1.0))
            async with (
                protocol_server(package.folder, tmp_path) as server,
                listening(server, tracing) as address,
                triton.InferenceServerClient(address) as client,
            ):
                with pytest.raises(InferenceServerException, match="the server's log has the details"):
                    await client.infer(**image(0, request_id=sent))
            tracing.close()
    finally:
        log.removeHandler(lines)
    (line,) = lines.written
    assert line["request_id"] == attributes_of(collector.spans["ModelInfer"])["tidegate.request_id"]
    assert line["request_id"] == sent or not sent
