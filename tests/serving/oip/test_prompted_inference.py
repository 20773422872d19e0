from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry.package import ModelPackage
from serving.deadline import Deadline
from serving.oip.infer_request import InferRequest, WantedOutput
from serving.oip.prompted_inference import MAX_PROMPTS, infer_prompts, input_spec, output_specs
from serving.upstream.declaration import Upstream
from tasks.errors import BadInput, TidegateError, TooLarge
from tests.serving.host_server import until
from tests.serving.protocol_server import ProtocolServer, protocol_server
from tests.serving.upstream.canned_server import canned_server
from tests.tiny_captioner import build_captioner_package, picture

GREEDY: dict[str, Any] = {"max_tokens": 4, "temperature": 0}


@pytest.fixture(scope="session")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return build_captioner_package(tmp_path_factory.mktemp("captioner") / "tiny", num_golden=1, slots=(2,))


def prompts(*texts: str | bytes) -> dict[str, Any]:
    return {"text_input": np.array([one if isinstance(one, bytes) else one.encode() for one in texts], object)}


def request(inputs: dict[str, Any], *outputs: str, **params: Any) -> InferRequest:
    return InferRequest(inputs, [WantedOutput(name) for name in outputs], GREEDY | params, Deadline.after(30))


async def infer(server: ProtocolServer, inputs: dict[str, Any], *outputs: str, **params: Any) -> dict[str, Any]:
    return await infer_prompts(server.host.get("tiny"), request(inputs, *outputs, **params))


async def test_prompts_are_answered_each_by_itself_and_in_order(texts: ProtocolServer) -> None:
    both = await infer(texts, prompts("Return", "Write"))
    assert list(both) == [spec.name for spec in output_specs(texts.host.get("tiny"))]
    for place, one in enumerate(("Return", "Write")):
        alone = await infer(texts, prompts(one))
        assert {name: values[place] for name, values in both.items() if name != "score"} == {
            name: values[0] for name, values in alone.items() if name != "score"
        }
        np.testing.assert_allclose(both["score"][place], alone["score"][0], rtol=1e-4)


async def test_several_answers_follow_each_other(texts: ProtocolServer) -> None:
    outputs = await infer(texts, prompts("Return", "Write"), n=3)
    assert [len(values) for values in outputs.values()] == [6] * 4
    assert len(set(outputs["text_output"][:3])) == 1  # greedy
    assert outputs["text_output"][0] != outputs["text_output"][3]


async def test_outputs_come_as_they_were_asked_for(texts: ProtocolServer) -> None:
    assert list(await infer(texts, prompts("Return"), "score", "text_output")) == ["score", "text_output"]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "got nothing"),
        ({"image": np.zeros((1, 2, 2, 3), np.uint8)}, "send one input, 'text_input'"),
        (prompts("a") | {"more": np.zeros(1)}, "'more'"),
        ({"text_input": np.array([1, 2])}, r"must be BYTES \[n\]; got INT64 \[2\]"),
        ({"text_input": np.array([], object)}, r"got BYTES \[0\]"),
        ({"text_input": np.array([[b"a", b"b"], [b"c", b"d"]], object)}, r"got BYTES \[2, 2\]"),
        (prompts(*["a"] * (MAX_PROMPTS + 1)), f"at most {MAX_PROMPTS}"),
        (prompts("a", ""), "empty"),
        (prompts(b"\xff"), "UTF-8"),
    ],
)
async def test_what_is_no_list_of_prompts_is_bad_input(
    texts: ProtocolServer, inputs: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        await infer(texts, inputs)


async def test_a_column_of_prompts_will_do(texts: ProtocolServer) -> None:
    column = prompts("Return", "Write")["text_input"].reshape(2, 1)
    assert len((await infer(texts, {"text_input": column}))["text_output"]) == 2


async def test_outputs_that_are_not_there_are_refused(texts: ProtocolServer) -> None:
    with pytest.raises(BadInput, match="there is no output 'logits'"):
        await infer(texts, prompts("a"), "logits")
    wanted = InferRequest(prompts("a"), [WantedOutput("score", num_classes=2)], GREEDY, Deadline())
    with pytest.raises(BadInput, match="classification"):
        await infer_prompts(texts.host.get("tiny"), wanted)


async def test_more_than_ever_fits_is_refused_at_once(texts: ProtocolServer) -> None:
    with pytest.raises(TooLarge, match="80 answers"):
        await infer(texts, prompts(*["a"] * 5), n=16)
    assert texts.host.get("tiny").num_in_flight == 0


async def test_the_first_failure_cancels_the_others(texts: ProtocolServer) -> None:
    model: Any = texts.host.get("tiny")
    with pytest.raises(TidegateError):
        await infer(texts, prompts("Return", "word " * 200), max_tokens=50, ignore_end=True)
    await until(lambda: model.num_in_flight == 0)
    assert model.generation.num_cancelled == 1
    assert model.generation.finished == {}


async def test_a_captioner_takes_pictures(captioner: ModelPackage, tmp_path: Path) -> None:
    async with protocol_server(captioner.folder, tmp_path) as server:
        model = server.host.get("tiny-captioner")
        assert input_spec(model).name == "encoded_image"
        pictures = {"encoded_image": np.array([picture(0), picture(1)], object)}
        outputs = await infer_prompts(model, request(pictures, n=2))
        assert {name: len(values) for name, values in outputs.items()} == {"caption": 4, "score": 4}
        with pytest.raises(BadInput, match="'encoded_image'"):
            await infer_prompts(model, request(prompts("a")))


async def test_an_upstream_model_is_asked_alike(language: ModelPackage, tmp_path: Path) -> None:
    chunks = b'data: {"choices": [{"index": 0, "text": "ab", "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    with canned_server(body=chunks) as there:
        async with protocol_server(language.folder, tmp_path, upstreams={"far": Upstream(url=there.url)}) as server:
            outputs = await infer_prompts(server.host.get("far"), request(prompts("a", "b"), "text_output"))
            assert outputs["text_output"].tolist() == [b"ab", b"ab"]
            with pytest.raises(BadInput, match="logprobs"):
                await infer_prompts(server.host.get("far"), request(prompts("a"), logprobs=1))
