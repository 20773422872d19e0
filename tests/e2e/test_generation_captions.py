"""Captions: pictures in by HTTP, forms and tensors, the n best sentences with scores out, whole or in pieces."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton

from tests.e2e.conftest import RunningServer
from tests.tiny_captioner import picture

pytestmark = pytest.mark.e2e
CAPTION = "/v1/models/tiny-captioner/caption"
SHORT = {"max_tokens": 8}


@pytest.fixture
def http(language: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{language.http}", timeout=60) as client:
        yield client


def captions_of(answer: httpx.Response) -> list[list[dict[str, Any]]]:
    """Of each picture."""
    assert answer.status_code == 200, answer.text
    return [prediction["captions"] for prediction in answer.json()["predictions"]]


def test_a_picture_gets_its_captions_best_first(http: httpx.Client) -> None:
    ((only,),) = captions_of(http.post(CAPTION, params=SHORT, content=picture(1)))
    assert set(only) == {"text", "score", "num_tokens", "finish_reason"}
    (best,) = captions_of(http.post(CAPTION, params=SHORT | {"n": 3}, content=picture(1)))
    assert len({caption["text"] for caption in best}) == 3
    assert [caption["score"] for caption in best] == sorted((caption["score"] for caption in best), reverse=True)
    answer = http.post(CAPTION, params=SHORT, content=picture(1)).json()
    assert (answer["model_name"], answer["model_version"]) == ("tiny-captioner", "1")


def test_pictures_of_a_form_are_answered_in_order(http: httpx.Client) -> None:
    alone = [captions_of(http.post(CAPTION, params=SHORT, content=picture(index)))[0] for index in range(3)]
    files = [("file", (f"{index}.png", picture(index))) for index in range(3)]
    together = captions_of(http.post(CAPTION, files=files, data=SHORT))
    assert [[one["text"] for one in captions] for captions in together] == [[one["text"] for one in c] for c in alone]


def test_captions_are_streamed_on_request(http: httpx.Client) -> None:
    ((whole,),) = captions_of(http.post(CAPTION, params=SHORT, content=picture(2)))
    answer = http.post(CAPTION, params=SHORT | {"stream": "true"}, content=picture(2))
    assert answer.headers["content-type"].startswith("text/event-stream")
    *pieces, last = [json.loads(block.removeprefix("data: ")) for block in answer.text.strip().split("\n\n")]
    assert "".join(piece["text"] for piece in pieces) == whole["text"]
    assert last["predictions"][0]["captions"][0]["text"] == whole["text"]


def test_the_best_captions_may_be_streamed_too(http: httpx.Client) -> None:
    (whole,) = captions_of(http.post(CAPTION, params=SHORT | {"n": 3}, content=picture(2)))
    answer = http.post(CAPTION, params=SHORT | {"n": 3, "stream": "true"}, content=picture(2))
    *pieces, last = [json.loads(block.removeprefix("data: ")) for block in answer.text.strip().split("\n\n")]
    told = ["".join(piece["text"] for piece in pieces if piece["choice"] == choice) for choice in range(3)]
    (captions,) = [prediction["captions"] for prediction in last["predictions"]]
    assert told == [caption["text"] for caption in captions] == [caption["text"] for caption in whole]
    assert [caption["score"] for caption in captions] == pytest.approx(
        [caption["score"] for caption in whole], abs=1e-4
    )


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        ({"content": b"no picture"}, 400, "not an image"),
        ({"content": b""}, 400, ""),
        ({"content": picture(0), "params": {"nonsense": 1}}, 400, "nonsense"),
        ({"content": picture(0), "params": {"stream": "maybe"}}, 400, "stream"),
        ({"content": picture(0), "params": {"n": 99}}, 400, "n"),
        ({"content": picture(0), "params": {"num_beams": 2, "top_k": 5}}, 400, "num_beams"),
        ({"files": [("file", ("a", picture(0)))] * 2, "data": {"stream": "true"}}, 400, "one picture"),
    ],
)
def test_refusals_say_why(http: httpx.Client, request_: dict[str, Any], status: int, words: str) -> None:
    answer = http.post(CAPTION, **request_)
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_texts_go_elsewhere(http: httpx.Client) -> None:
    for path, body in (
        ("/v2/models/tiny-captioner/generate", {"text_input": "a"}),
        ("/v1/completions", {"model": "tiny-captioner", "prompt": "a"}),
    ):
        answer = http.post(path, json=body)
        assert answer.status_code in (400, 501)
        assert CAPTION in answer.text
    assert http.post("/v1/models/tiny/caption", content=picture(0)).status_code == 404


def test_pictures_are_captioned_over_grpc_whole_and_in_pieces(language: RunningServer, http: httpx.Client) -> None:
    ((whole,),) = captions_of(http.post(CAPTION, params=SHORT, content=picture(3)))
    tensor = triton.InferInput("encoded_image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([picture(3)], object))
    answers: queue.Queue[Any] = queue.Queue()
    with triton.InferenceServerClient(language.grpc) as client:
        answer = client.infer("tiny-captioner", [tensor], parameters=SHORT)
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer("tiny-captioner", [tensor], parameters=SHORT)
        client.stop_stream()
    assert answer.as_numpy("caption").tolist() == [whole["text"].encode()]
    assert answer.as_numpy("score")[0] == pytest.approx(whole["score"], abs=1e-4)
    assert b"".join(result.as_numpy("caption")[0] for result, _ in answers.queue).decode() == whole["text"]


def test_pictures_that_come_do_not_disturb_a_caption_that_is_being_written(http: httpx.Client) -> None:
    asked = {"max_tokens": 40, "ignore_end": True}
    ((alone,),) = captions_of(http.post(CAPTION, params=asked, content=picture(1)))
    others: list[int] = []
    with http.stream("POST", CAPTION, params=asked | {"stream": "true"}, content=picture(1)) as answer:
        events = (json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line)
        collected = [next(events)["text"]]
        for index in range(6):
            body = b"no picture" if index % 3 == 2 else picture(index)
            others.append(httpx.post(http.base_url.join(CAPTION), params=SHORT, content=body, timeout=60).status_code)
        *pieces, last = events
        collected += [piece["text"] for piece in pieces]
    assert others == [200, 200, 400] * 2
    assert "".join(collected) == last["predictions"][0]["captions"][0]["text"] == alone["text"]


def test_captions_that_are_written_side_by_side_are_those_that_each_picture_gets_alone(http: httpx.Client) -> None:
    alone = [captions_of(http.post(CAPTION, params=SHORT, content=picture(index)))[0][0]["text"] for index in range(4)]
    found: dict[int, str] = {}

    def ask(index: int) -> None:
        found[index] = captions_of(http.post(CAPTION, params=SHORT, content=picture(index % 4)))[0][0]["text"]

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[index] for index in range(8)] == alone * 2
