"""A server of one answer: what an upstream may say, well or badly, over a real connection."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class CannedServer:
    """Answers every request by `status`, `headers` and `body`, and remembers what it was asked. `hangs`: it remembers
    it, and answers nothing before the server ends."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    requests: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    hangs: bool = False
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def canned_server(**canned: Any) -> Iterator[CannedServer]:
    """On a free port."""
    server = CannedServer(**canned)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            server.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, content))
            if server.hangs:
                server.ended.wait(30)
            self.send_response(server.status)
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(server.body)  # HTTP/1.0: the end of the connection is the end of the body

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server.url = f"http://127.0.0.1:{listening.server_address[1]}/v1"
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            listening.shutdown()
            thread.join()
