"""docs/endpoints.md keeps its word: its own examples, asked of a real server, are answered in the form that it shows.

The models are built by hand under the names that the page uses, so that nothing of an example is changed but the
addresses in it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.e2e.answer_form import check_answer, check_printed
from tests.e2e.conftest import TOKEN, RunningServer, start_server, unharmed
from tests.e2e.page_examples import Example, read_examples
from tests.e2e.workshop import wait_for
from tests.handmade import Handmade, build_package, encoded
from tests.handmade_detection import DETECTOR, build_detector
from tests.handmade_segmentation import SEGMENTER, build_segmenter, encoded_patches
from tests.tiny_captioner import build_captioner_package
from tests.tiny_language import build_language_package

pytestmark = pytest.mark.e2e
PAGE = Path(__file__).parents[2] / "docs" / "endpoints.md"
NOT_RUN = {
    "python -c": "draws pictures for the models of the quick start; those built by hand know others",
    "tidegate serve stdlib-llama": "starts the engine of an upstream: here the one server is its own",
    "digest=$(": "takes a profile out of that engine's cache: here it is the one that the package was built with",
    "mkdir near": "makes the folder of the server in front of it",
    "ASSISTANT_KEY=": "starts that server",
}
"""How an example begins that can not run here → why."""
EXAMPLES = [example for example in read_examples(PAGE) if not example.asked.startswith(tuple(NOT_RUN))]
UNREACHABLE = "the upstream server of this model can not be reached"
NUM_JUDGED = 20
"""Answers after which drift is judged here; by itself a server waits for a hundred."""


@dataclass(frozen=True)
class Answered:
    """`printed`: of a command or a block of Python. `status`: 0 where no HTTP was asked by curl."""

    printed: str
    status: int


@dataclass(frozen=True)
class Place:
    """A server, and a folder with the pictures that the page sends it."""

    server: RunningServer
    folder: Path

    def put(self, asked: str, is_away: bool = False) -> str:
        """An example with this server's addresses. `is_away`: about an upstream that can not be reached."""
        for port, address in (("8000", self.server.http), ("8002", self.server.metrics), ("8003", self.server.admin)):
            asked = asked.replace(f"127.0.0.1:{port}", address)
        return asked.replace('"assistant"', '"departed"') if is_away else asked

    def run_command(self, command: str) -> Answered:
        """Whatever curl is asked in it, it tells the status beside."""
        said = re.sub(r"\bcurl ", "curl -sS --max-time 60 -w '%{stderr}%{http_code}' ", command)
        environment = {**os.environ, "NO_PROXY": "127.0.0.1", "TIDEGATE_ADMIN_TOKEN": TOKEN}
        result = subprocess.run(
            ["bash", "-c", said], cwd=self.folder, env=environment, capture_output=True, timeout=120, check=False
        )
        assert result.returncode == 0, f"{command}: {result.stderr.decode()}"
        return Answered(result.stdout.decode(), int(result.stderr))

    def run_python(self, example: Example) -> str:
        """What it prints, after the blocks that it goes on from."""
        names: dict[str, object] = {}
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(io.StringIO()):
            for block in example.before:
                exec(compile(self.put(block), PAGE.name, "exec"), names)
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(self.put(example.asked), PAGE.name, "exec"), names)
        return printed.getvalue()


@pytest.fixture(scope="module")
def open_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One server of all five kinds, which has `assistant` from itself and `departed` from nobody."""
    folder = tmp_path_factory.mktemp("page")
    text = build_language_package(folder / "text", name="stdlib-llama", context=512)
    packages = [
        build_package(folder / "digits", Handmade(name="digits")),
        build_detector(folder / "cells", replace(DETECTOR, name="scenes-detection")),
        build_segmenter(folder / "patches", replace(SEGMENTER, name="scenes-segmentation")),
        build_captioner_package(folder / "captioner", name="scenes-captioning"),
        text,
    ]
    (folder / "seven.jpg").write_bytes(encoded(7))
    (folder / "scene.jpg").write_bytes(encoded_patches(3))
    port = free_port()
    upstreams = {
        "assistant": {
            "url": f"http://127.0.0.1:{port}/v1",
            "model": "stdlib-llama",
            "profile": str(text.folder / "fp32" / "profile.json"),
        },
        "departed": {"url": "http://127.0.0.1:9/v1"},
    }
    watched = {"DRIFT_MIN_WINDOW": str(NUM_JUDGED), "DRIFT_CHECK_INTERVAL_S": "0.2", "DRIFT_CPU_SHARE": "1"}
    settings = {"HTTP_PORT": str(port), "UPSTREAMS": json.dumps(upstreams), "POLL_INTERVAL_S": "0.2", **watched}
    with start_server(folder, packages, **settings) as server:
        ask_assistant(server)
        yield Place(server, folder)


@pytest.fixture
def place(open_place: Place) -> Iterator[Place]:
    """It must be unharmed afterwards."""
    with unharmed(open_place.server):
        yield open_place


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def ask_assistant(server: RunningServer) -> None:
    """As often as it takes to judge its drift."""
    asked = {"model": "assistant", "prompt": "Return the number of", "max_tokens": 8, "temperature": 0}
    with httpx.Client(base_url=f"http://{server.http}", trust_env=False, timeout=60) as client:
        wait_for(lambda: client.get("/v2/models/assistant/ready").status_code == 200)
        for _ in range(NUM_JUDGED):
            client.post("/v1/completions", json=asked).raise_for_status()
        wait_for(lambda: client.get("/v1/models/assistant/drift").json()["signals"])


def shown_status(shown: str) -> int:
    """An answer without its headers has the status that the page's table of errors gives it."""
    if shown.startswith("HTTP/"):
        return int(shown.split()[1])
    if not shown.startswith('{"error"'):
        return 200
    return 503 if UNREACHABLE in shown else 400


@pytest.mark.parametrize("example", [each for each in EXAMPLES if each.language == "sh"], ids=lambda each: each.title)
def test_a_command_is_answered_as_shown(place: Place, example: Example) -> None:
    answered = place.run_command(place.put(example.asked, is_away=UNREACHABLE in example.shown))
    assert answered.status == shown_status(example.shown)
    if file := re.search(r"--output (\S+)", example.asked):
        with Image.open(place.folder / file[1]) as picture:
            assert picture.format == Image.registered_extensions()[Path(file[1]).suffix]
    elif example.shown.strip():
        check_answer(example.shown, answered.printed)
    else:
        assert answered.printed == ""


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.language == "python"], ids=lambda each: each.title)
def test_a_block_of_python_prints_as_shown(place: Place, example: Example) -> None:
    check_printed(example.shown, place.run_python(example))


@pytest.mark.parametrize(
    ("shown", "answered"),
    [
        ('{"a": {"b": 1}}', '{"a": {"c": 1}}'),
        ('{"a": 1}', '{"a": 1, "b": 2}'),
        ('{"a": 1, …}', '{"b": 2}'),
        ('{"a": 1}', '{"a": "1"}'),
        ('{"a": [{"b": 1}, …]}', '{"a": [{"b": 2}, {"b": null}]}'),
        ('{"a": [1]}', '{"a": []}'),
        ('{"error": "a picture is missing"}', '{"error": "the picture is missing"}'),
        ('data: {"a": 1}\n\ndata: {"b": 1}', 'data: {"a": 1}\n\ndata: {"a": 2}'),
        ('data: {"a": 1}\n\ndata: {"b": 1}', 'data: {"b": 1}\n\ndata: {"a": 2}'),
        ('HTTP/1.1 400 Bad\n…\n{"a": 1}', 'HTTP/1.1 400 Bad\r\ndate: now\r\n\r\n{"b": 1}'),
        ('seen_total{model="a"} 1.0', 'seen_total{model="a",version="1"} 1.0'),
    ],
)
def test_an_answer_of_another_form_is_noticed(shown: str, answered: str) -> None:
    with pytest.raises(AssertionError):
        check_answer(shown, answered)


def test_what_is_not_run_stands_on_the_page() -> None:
    everything = read_examples(PAGE)
    for start in NOT_RUN:
        assert any(example.asked.startswith(start) for example in everything), f"{start}: the page has it no longer"
