"""A served LSTM: its states pass through the same slots as a transformer's caches."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import openai
import pytest

from registry.local_store import LocalStore
from tests.e2e.conftest import RunningServer, start_server
from tests.tiny_language import build_language_package

pytestmark = pytest.mark.e2e
PROMPTS = ("Return", "Return the name of", "Raise", "The file", "Return the name of a file")
"""Two slots work on five of different lengths: each is held still while others are taken in."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("lstm")
    store = LocalStore(folder / "store")
    build_language_package(folder / "package", architecture="lstm", name="completer", slots=(2,))
    store.publish(folder / "package")
    store.set_alias("completer", "champion", "1")
    with start_server(folder, []) as started:
        yield started


def complete(server: RunningServer, prompt: str, **params: Any) -> str:
    body = {"model": "completer", "prompt": prompt, "max_tokens": 24, "ignore_end": True, **params}
    answer = httpx.post(f"http://{server.http}/v1/completions", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["text"]
    return text


@pytest.mark.parametrize("params", [{"temperature": 0}, {"temperature": 1, "seed": 7}, {"num_beams": 2}])
def test_what_others_ask_changes_no_answer(server: RunningServer, params: dict[str, Any]) -> None:
    alone = [complete(server, prompt, **params) for prompt in PROMPTS]
    with ThreadPoolExecutor(len(PROMPTS)) as callers:
        together = list(callers.map(partial(complete, server, **params), PROMPTS))
    assert together == alone
    assert len(set(alone)) > 1


def test_it_streams_to_the_client_of_openai(server: RunningServer) -> None:
    with openai.OpenAI(base_url=f"http://{server.http}/v1", api_key="none") as client:
        chunks = list(
            client.completions.create(
                model="completer",
                prompt="Return",
                max_tokens=12,
                temperature=0,
                stream=True,
                extra_body={"ignore_end": True},
            )
        )
    assert "".join(chunk.choices[0].text for chunk in chunks) == complete(
        server, "Return", temperature=0, max_tokens=12
    )
    assert chunks[-1].choices[0].finish_reason == "length"


def test_a_beginning_that_was_there_before_is_taken_from_a_snapshot(server: RunningServer) -> None:
    """The second prompt that begins alike is worth a snapshot, the third one uses it."""
    prompt = " ".join(PROMPTS) * 2
    before = metric(server, "tidegate_prefix_hits_total")
    answers = {complete(server, prompt, temperature=0) for _ in range(3)}
    assert len(answers) == 1
    assert metric(server, "tidegate_prefix_hits_total") > before


def metric(server: RunningServer, name: str) -> float:
    lines = httpx.get(f"http://{server.metrics}/metrics", timeout=10).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{"))
