"""The console in a real browser, and what went wrong in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from playwright.sync_api import Browser, ConsoleMessage, FloatRect, Locator, Page, expect

WAIT_MS = 60_000
"""For an answer, on a machine that has other things to do."""


@dataclass
class ConsolePage:
    """An open page. `problems`: errors of scripts, refusals by the policy, whatever else the browser complains of."""

    page: Page
    address: str
    problems: list[str] = field(default_factory=list)

    def go(self, view: str, model: str = "") -> None:
        """To a view, of a model where it is about one."""
        self.page.goto(f"{self.address}#/{view}{f'/{model}' if model else ''}")
        expect(self.page.locator(f".view-{view}")).to_be_visible()

    def too_wide(self) -> list[str]:
        """What does not fit: the page into its window, or what a card holds into the card."""
        found: list[str] = self.page.evaluate(
            "[document.documentElement, ...document.querySelectorAll('.card, .top')]"
            ".filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.className || e.tagName)"
        )
        return found


@contextmanager
def open_page(
    browser: Browser, http: str, width: int = 1280, scheme: Literal["light", "dark"] = "light", fragment: str = ""
) -> Iterator[ConsolePage]:
    """A window of its own, without the memory of others; `fragment`: of the first address."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(WAIT_MS)
    opened = ConsolePage(context.new_page(), f"http://{http}/console")

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            opened.problems.append(f"{message.type}: {message.text}")

    opened.page.on("console", note)
    opened.page.on("pageerror", lambda error: opened.problems.append(str(error)))
    opened.page.goto(f"{opened.address}{fragment}")
    try:
        yield opened
    finally:
        context.close()


def rectangle(locator: Locator) -> FloatRect:
    """Where an element is drawn."""
    found = locator.bounding_box()
    assert found is not None
    return found


def run_module(opened: ConsolePage, name: str, body: str, argument: Any = None) -> Any:
    """What `body`, of a function of the module's exports `m` and of `argument`, returns in the browser."""
    script = f"async (argument) => {{ const m = await import('/console/{name}'); {body} }}"
    return opened.page.evaluate(script, argument)
