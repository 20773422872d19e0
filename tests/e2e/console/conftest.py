"""A server of all five kinds of model and one browser for everything that is tried in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from registry.local_store import LocalStore
from registry.promotion import promote
from registry.reference import ModelRef
from tests.e2e.conftest import RunningServer, start_server, unharmed
from tests.e2e.console.page import WAIT_MS, ConsolePage, open_page
from tests.handmade import Handmade, build_package
from tests.handmade_detection import build_detector
from tests.handmade_segmentation import build_segmenter
from tests.tiny_captioner import build_captioner_package
from tests.tiny_language import build_language_package


@dataclass(frozen=True)
class ConsoleServer:
    """A running server and the store that it follows."""

    running: RunningServer
    store: LocalStore
    folder: Path

    def promote_next(self, shift: float) -> str:
        """One more version of `colours`, through the gates; the server follows."""
        built = build_package(self.folder / f"colours-{shift}", Handmade(shift=shift))
        version = self.store.publish(built.folder).version
        ref = ModelRef(name="colours", version=version)
        promote(self.store, ref, cache=self.folder / "judged", who="a colleague")
        return version


@pytest.fixture(scope="module")
def browser(require_tool: Callable[[str], str]) -> Iterator[Browser]:
    """Debian's Chromium. Its sandbox needs rights that a container does not give. No longer than a module: Playwright
    keeps an event loop running, beside which other tests could start none of their own."""
    program = require_tool("chromium")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def console_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleServer]:
    """colours, cells, patches, tiny-captioner, tiny (which chats too) and slow, whose most likely answer does not end
    before it has as many tokens as it may have: thousands outlast also a browser that is kept waiting."""
    folder = tmp_path_factory.mktemp("console")
    packages = [
        build_package(folder / "colours", Handmade()),
        build_detector(folder / "cells"),
        build_segmenter(folder / "patches"),
        build_captioner_package(folder / "captioner"),
        build_language_package(folder / "tiny", context=512),
        build_language_package(
            folder / "slow", name="slow", context=8192, width=256, depth=4, slots=(2,), num_golden=1, is_endless=True
        ),
    ]
    settings = {"POLL_INTERVAL_S": "0.5", "DRIFT_CPU_SHARE": "1", "DRIFT_QUEUE": "2000", "DRIFT_MIN_WINDOW": "20"}
    with start_server(folder, packages, **settings, DRIFT_CHECK_INTERVAL_S="0.2") as running:
        yield ConsoleServer(running, LocalStore(folder / "store"), folder)


@pytest.fixture
def console(browser: Browser, console_server: ConsoleServer) -> Iterator[ConsolePage]:
    """A page that must not have met a problem in the end, nor the server."""
    with unharmed(console_server.running), open_page(browser, console_server.running.http) as opened:
        expect(opened.page.locator("#server-status")).to_contain_text("6 of 6 ready")
        yield opened
    assert opened.problems == []
