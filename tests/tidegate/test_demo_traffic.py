"""The demo's clients against a server that answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tasks.errors import NotReady
from tidegate.demo_traffic import call, fetch_picture, send_all, stream_completion


class Echo(BaseHTTPRequestHandler):
    """Answers what it was sent; /empty nothing, /stream in events, /broken with 500 and much to say."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/empty":
            body = b""
        elif self.path == "/v1/completions":
            asked = json.loads(body)
            events = [{"choices": [{"text": text}]} for text in (asked["prompt"], " and", " so on")]
            body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"
        elif self.path == "/broken":
            body = b"x" * 10_000
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_answers_come_back_in_the_order_of_what_was_sent(address: str) -> None:
    assert list(send_all(address, "/echo", [str(number).encode() for number in range(30)])) == list(range(30))


def test_a_picture_is_taken_as_it_is(address: str) -> None:
    assert fetch_picture(address, "/echo", b"\xff\xd8") == b"\xff\xd8"


def test_an_empty_answer_is_none(address: str) -> None:
    assert call(address, "POST", "/empty") is None


def test_a_completion_comes_piece_by_piece(address: str) -> None:
    assert list(stream_completion(address, "tiny", "One", 3)) == ["One", " and", " so on"]


def test_what_the_server_refuses_is_said_and_cut_short(address: str) -> None:
    with pytest.raises(NotReady, match=r"^POST /broken was answered with 500: x{500}$"):
        fetch_picture(address, "/broken", b"")
