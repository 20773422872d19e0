"""The page and its files. They are read once, so that a request can only ever name one of them and no path."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request, Response

from tasks.errors import NotFound

FILES = Path(__file__).with_name("static")
INDEX = "index.html"
MEDIA_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Nothing but the files below runs or is loaded, and a text never becomes markup. blob: is the picture being tried."""
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}


class Page(NamedTuple):
    """A file as it is sent. `etag`: by its content, so that a browser asks again and is told that nothing changed."""

    content: bytes
    media_type: str
    etag: str


def read_pages(folder: Path = FILES) -> dict[str, Page]:
    """Every file of the page by its name within `folder`."""
    pages: dict[str, Page] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in MEDIA_TYPES:
            content = path.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            pages[path.relative_to(folder).as_posix()] = Page(content, MEDIA_TYPES[path.suffix], etag)
    return pages


def pages_router() -> APIRouter:
    """/console and what it loads; included after the API, whose paths begin alike."""
    router = APIRouter(include_in_schema=False)
    pages = read_pages()

    @router.api_route("/console", methods=["GET", "HEAD"])
    async def get_index(request: Request) -> Response:
        return answer_page(request, pages[INDEX])

    @router.api_route("/console/", methods=["GET", "HEAD"])
    async def redirect_to_index() -> Response:
        """Relative, so that it works behind a proxy that adds a prefix."""
        return Response(status_code=308, headers={**HEADERS, "location": "../console"})

    @router.api_route("/console/{name:path}", methods=["GET", "HEAD"])
    async def get_file(name: str, request: Request) -> Response:
        if name not in pages:
            raise NotFound(f"the console has no file {name[:200]!r}; its page is at /console")
        return answer_page(request, pages[name])

    return router


def answer_page(request: Request, page: Page) -> Response:
    headers = {**HEADERS, "etag": page.etag}
    if request.headers.get("if-none-match") == page.etag:
        return Response(status_code=304, headers=headers)
    return Response(page.content, headers=headers, media_type=page.media_type)
