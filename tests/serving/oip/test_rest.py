from __future__ import annotations

import gzip
import zlib
from typing import Any

import numpy as np
import pytest

from tests.handmade import encoded, picture
from tests.serving.protocol_server import ProtocolServer
from tests.serving.wire import (
    CLASSIFY,
    IMAGES,
    INFER,
    LENGTH,
    SIZE,
    binary_outputs,
    bytes_tensor,
    image_in_binary,
    image_input,
    in_binary,
)


async def test_json_and_binary_give_the_same_answer(protocol: ProtocolServer) -> None:
    wanted = {"outputs": [{"name": "logits", "parameters": {"binary_data": True}}]}
    binary = await protocol.http.post(INFER, **image_in_binary(IMAGES, **wanted))
    asked = {"id": "42", "inputs": [image_input(data=IMAGES.tolist())]}
    answered = (await protocol.http.post(INFER, json=asked)).json()
    assert (answered["model_name"], answered["model_version"], answered["id"]) == ("colours", "1", "42")
    by_name = {output["name"]: output for output in answered["outputs"]}
    assert by_name["logits"]["shape"] == [1, 5]
    assert by_name["embedding"]["datatype"] == "FP32"
    logits = np.frombuffer(binary_outputs(binary)["logits"], np.float32)
    np.testing.assert_allclose(logits, by_name["logits"]["data"], rtol=1e-6)


async def test_a_batch_larger_than_the_model_takes_is_split(protocol: ProtocolServer) -> None:
    many = np.stack([picture(seed, SIZE, SIZE) for seed in range(21)])
    answer = await protocol.http.post(INFER, **image_in_binary(many, parameters={"binary_data_output": True}))
    logits = np.frombuffer(binary_outputs(answer)["logits"], np.float32).reshape(21, 5)
    alone = await protocol.http.post(INFER, **image_in_binary(many[20:], parameters={"binary_data_output": True}))
    np.testing.assert_allclose(logits[20], np.frombuffer(binary_outputs(alone)["logits"], np.float32), rtol=1e-5)


async def test_the_version_may_be_named(protocol: ProtocolServer) -> None:
    assert (
        await protocol.http.post("/v2/models/colours/versions/1/infer", **image_in_binary(IMAGES))
    ).status_code == 200
    assert (
        await protocol.http.post("/v2/models/colours/versions/9/infer", **image_in_binary(IMAGES))
    ).status_code == 404


async def test_classification_gives_labels(protocol: ProtocolServer) -> None:
    wanted = [{"name": "logits", "parameters": {"classification": 2}}]
    answer = (await protocol.http.post(INFER, json={"inputs": [image_input()], "outputs": wanted})).json()
    [output] = answer["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [1, 2])
    value, index, label = output["data"][0].split(":")
    assert label == ("dark", "red", "green", "blue", "light")[int(index)]
    assert float(value) >= float(output["data"][1].split(":")[0])


async def test_a_bare_picture_is_a_raw_request(protocol: ProtocolServer) -> None:
    answer = await protocol.http.post(INFER, content=encoded(1), headers={LENGTH: "0"})
    outputs = binary_outputs(answer)
    assert list(outputs) == ["labels", "class_ids", "scores"]
    assert np.frombuffer(outputs["scores"], np.float32).sum() == pytest.approx(1, abs=1e-5)


async def test_encoded_pictures_take_the_tasks_parameters(protocol: ProtocolServer) -> None:
    data = bytes_tensor(encoded(1), encoded(2))
    facts = {"name": "encoded_image", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(data)}}
    wanted = {"parameters": {"top_k": 2, "priority": 1, "timeout": 5_000_000, "triton_x": [1]}}
    answer = (await protocol.http.post(INFER, **in_binary({"inputs": [facts], **wanted}, data))).json()
    by_name = {output["name"]: output for output in answer["outputs"]}
    assert by_name["labels"]["shape"] == by_name["scores"]["shape"] == [2, 2]
    alone = (await protocol.http.post(CLASSIFY, content=encoded(2), params={"top_k": 2})).json()
    assert by_name["labels"]["data"][2:] == [one["label"] for one in alone["predictions"][0]["classes"]]


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_compressed_requests_and_answers(protocol: ProtocolServer, encoding: str, compress: Any) -> None:
    many = np.repeat(IMAGES, 48, axis=0)
    request = image_in_binary(many, parameters={"binary_data_output": True})
    plain = await protocol.http.post(
        INFER, content=request["content"], headers=request["headers"] | {"Accept-Encoding": ""}
    )
    assert "content-encoding" not in (await protocol.http.post(INFER, **image_in_binary(IMAGES))).headers  # too small
    headers = request["headers"] | {"Content-Encoding": encoding, "Accept-Encoding": encoding}
    answer = await protocol.http.post(INFER, content=compress(request["content"]), headers=headers)
    assert answer.headers["content-encoding"] == encoding
    assert answer.content == plain.content
    assert answer.headers[LENGTH] == plain.headers[LENGTH]


async def test_health_is_said_in_the_words_that_clients_parse(protocol: ProtocolServer) -> None:
    assert (await protocol.http.get("/v2/health/live")).json() == {"live": True}
    assert (await protocol.http.get("/v2/health/ready")).json() == {"ready": True}
    assert (await protocol.http.get("/v2/models/colours/ready")).json()["ready"] is True
    protocol.host.draining = True
    assert (await protocol.http.get("/v2/health/live")).status_code == 200
    for path in ("/v2/health/ready", "/v2/models/colours/ready"):
        answer = await protocol.http.get(path)
        assert answer.status_code == 503
        assert answer.json()["error"]


async def test_metadata_lists_both_ways_in_and_out(protocol: ProtocolServer) -> None:
    answer = (await protocol.http.get("/v2/models/colours/versions/1")).json()
    assert answer["versions"] == ["1"]
    assert answer["inputs"] == [
        {"name": "image", "datatype": "UINT8", "shape": [-1, SIZE, SIZE, 3]},
        {"name": "encoded_image", "datatype": "BYTES", "shape": [-1]},
    ]
    assert [output["name"] for output in answer["outputs"]] == ["logits", "embedding", "labels", "class_ids", "scores"]
    assert answer["parameters"]["variant"] == "fp32"
    assert (await protocol.http.get("/v2/models")).json() == {"models": ["colours"]}


async def test_config_has_what_perf_analyzer_reads(protocol: ProtocolServer) -> None:
    config = (await protocol.http.get("/v2/models/colours/config")).json()
    assert config["max_batch_size"] == 8
    assert config["input"][0] == {
        "name": "image", "data_type": "TYPE_UINT8", "dims": [SIZE, SIZE, 3], "optional": True,
    }  # fmt: skip
    assert config["input"][1]["data_type"] == "TYPE_STRING"
    assert config["model_transaction_policy"] == {"decoupled": False}
    assert "dynamic_batching" in config


async def test_statistics_count_what_was_asked(protocol: ProtocolServer) -> None:
    await protocol.http.post(INFER, **image_in_binary(np.repeat(IMAGES, 3, axis=0)))
    await protocol.http.post(INFER, content=b"{}")
    for path in ("/v2/models/colours/stats", "/v2/models/stats", "/v2/models/colours/versions/1/stats"):
        [seen] = (await protocol.http.get(path)).json()["model_stats"]
        assert (seen["name"], seen["version"], seen["inference_count"]) == ("colours", "1", 3)
        assert seen["inference_stats"]["success"]["count"] == seen["inference_stats"]["fail"]["count"] == 1
        assert seen["inference_stats"]["compute_infer"]["ns"] > 0
        assert seen["batch_stats"][0]["compute_infer"]["count"] == 1


async def test_only_what_works_is_advertised(protocol: ProtocolServer) -> None:
    extensions = (await protocol.http.get("/v2")).json()["extensions"]
    assert "binary_tensor_data" in extensions
    assert not {"system_shared_memory", "cuda_shared_memory", "model_repository", "sequence"} & set(extensions)


async def test_the_index_is_read_here_too(protocol: ProtocolServer) -> None:
    answer = (await protocol.http.post("/v2/repository/index", json={"ready": True})).json()
    assert answer == [{"name": "colours", "version": "1", "state": "READY", "reason": ""}]
    assert (await protocol.http.post("/v2/repository/index", content=b"[")).status_code == 400
