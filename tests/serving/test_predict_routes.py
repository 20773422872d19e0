from __future__ import annotations

import json

import pytest

from tests.handmade import encoded
from tests.serving.protocol_server import ProtocolServer
from tests.serving.wire import (
    CLASSIFY,
)


async def test_classify_answers_one_prediction_per_picture_in_order(protocol: ProtocolServer) -> None:
    one = (await protocol.http.post(CLASSIFY, content=encoded(3), headers={"Content-Type": "image/jpeg"})).json()
    files = [("file", (f"{seed}.jpg", encoded(seed))) for seed in (4, 3, 5)]
    several = (await protocol.http.post(CLASSIFY, files=files, data={"top_k": "1"})).json()
    assert (one["model_name"], one["model_version"]) == ("colours", "1")
    assert len(one["predictions"][0]["classes"]) == 5
    assert several["predictions"][1]["classes"] == one["predictions"][0]["classes"][:1]
    assert len(several["predictions"]) == 3


@pytest.mark.parametrize(
    ("query", "told"), [("top_k=0", "top_k"), ("topk=1", "topk"), ("top_k=x", "top_k"), ("=&%", "query")]
)
async def test_options_that_are_not_there_are_refused(protocol: ProtocolServer, query: str, told: str) -> None:
    answer = await protocol.http.post(f"{CLASSIFY}?{query}", content=encoded(1))
    assert answer.status_code == 400
    assert told in answer.json()["error"]


@pytest.mark.parametrize("payload", [b"", b"not a picture", encoded(1)[:200], b"\xff\xd8\xff\xe0" + bytes(50)])
async def test_files_that_are_no_pictures_are_bad_input(protocol: ProtocolServer, payload: bytes) -> None:
    answer = await protocol.http.post(CLASSIFY, content=payload)
    assert answer.status_code == 400
    assert answer.json()["error"]


async def test_drift_is_reported(protocol: ProtocolServer) -> None:
    report = (await protocol.http.get("/v1/models/colours/drift")).json()
    assert report["status"] == "collecting"


async def test_the_description_covers_every_ready_model_and_the_page_loads_nothing(protocol: ProtocolServer) -> None:
    described = (await protocol.http.get("/openapi.json")).json()
    operation = described["paths"][CLASSIFY]["post"]
    assert operation["parameters"][0]["name"] == "top_k"
    assert "ClassificationPrediction" in described["components"]["schemas"]
    text = json.dumps(described)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "')[1:]}:
        assert reference.rpartition("/")[2] in described["components"]["schemas"]
    page = (await protocol.http.get("/docs")).text
    assert "openapi.json" in page
    assert "http://" not in page
    assert "https://" not in page
