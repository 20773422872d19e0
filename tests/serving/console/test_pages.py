"""The page as a browser gets it: complete, from here alone, under a policy that lets nothing else run."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from serving.api import new_api
from serving.console.pages import FILES, pages_router, read_pages

PAGES = read_pages()
SVG_NAMESPACE = "http://www.w3.org/2000/svg"


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the pages alone."""
    api = new_api("pages")
    api.include_router(pages_router())
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        yield client


async def test_the_policy_allows_files_of_this_server_alone(browser: httpx.AsyncClient) -> None:
    for path in ("/console", "/console/app.js", "/console/base.css"):
        answer = await browser.get(path)
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert policy["frame-ancestors"] == "'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_everything_that_the_page_loads_is_there(browser: httpx.AsyncClient) -> None:
    page = (await browser.get("/console")).text
    loaded = re.findall(r'(?:src|href)="(console/[^"]+)"', page)
    assert len(loaded) >= 5
    for path in loaded:
        assert (await browser.get(f"/{path}")).status_code == 200, path


@pytest.mark.parametrize("name", [name for name in PAGES if name.endswith(".js")])
def test_modules_import_what_is_there(name: str) -> None:
    code = PAGES[name].content.decode()
    for imported in re.findall(r'from "\./([^"]+)"', code):
        assert imported in PAGES
    for names, imported in re.findall(r'import \{([^}]+)\} from "\./([^"]+)"', code):
        exported = PAGES[imported].content.decode()
        for one in names.split(","):
            assert re.search(rf"export (async )?(function\*?|const|class) {one.strip()}\b", exported), one
            assert len(re.findall(rf"\b{one.strip()}\b", code)) > 1, f"{one} is imported and not used"


@pytest.mark.parametrize("name", PAGES)
def test_no_file_reaches_out(name: str) -> None:
    text = PAGES[name].content.decode().replace(SVG_NAMESPACE, "")
    assert not re.search(r"https?://|//[a-z0-9.-]+\.[a-z]{2,}/|@import|eval\(|innerHTML|insertAdjacentHTML", text)


@pytest.mark.parametrize("name", [name for name in PAGES if name.endswith(".html")])
def test_nothing_is_written_into_the_markup_that_the_policy_forbids(name: str) -> None:
    assert not re.search(r"<style|<script(?![^>]*src=)|\sstyle=|\son[a-z]+=", PAGES[name].content.decode())


async def test_a_browser_that_has_a_file_is_told_so(browser: httpx.AsyncClient) -> None:
    first = await browser.get("/console/app.js")
    again = await browser.get("/console/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["content-type"].startswith("text/javascript")
    assert (await browser.head("/console")).status_code == 200


async def test_a_slash_too_many_leads_back_to_the_page(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/console/")
    assert (answer.status_code, answer.headers["location"]) == (308, "../console")


@pytest.mark.parametrize(
    "path", ["../routes.py", "%2e%2e/routes.py", "..%2froutes.py", "/etc/passwd", "static/app.js", "app.js%00.css"]
)
async def test_no_path_leads_out_of_the_page(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(f"/console/{path}")
    assert answer.status_code in (400, 404)
    assert b"import" not in answer.content


def test_the_page_is_read_from_the_package() -> None:
    assert Path(FILES).is_dir()
    assert {"index.html", "app.js", "base.css", "icon.svg"} <= set(PAGES)
