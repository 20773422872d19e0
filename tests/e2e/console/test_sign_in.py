"""The console of a server that asks for keys: who has none is asked for one, in words for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, expect

from serving.access.caller import Role
from serving.access.key_edits import issue_key
from tests.e2e.conftest import start_server
from tests.e2e.console.page import open_page
from tests.handmade import Handmade, build_package

pytestmark = pytest.mark.e2e


class Guarded(NamedTuple):
    """A server and a key of it."""

    http: str
    key: str


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    key = issue_key(folder / "keys.toml", "shop", Role.PREDICT, rate=None).text()
    with start_server(
        folder, [build_package(folder / "colours", Handmade())], API_KEYS=str(folder / "keys.toml")
    ) as running:
        yield Guarded(running.http, key)


def test_who_has_no_key_is_asked_to_sign_in_and_gets_in_by_keys_alone(browser: Browser, guarded: Guarded) -> None:
    with open_page(browser, guarded.http, width=400) as opened:
        page = opened.page
        expect(page.locator("#key")).to_be_focused()
        expect(page.locator("#server-status")).to_have_text("not signed in")
        page.keyboard.press("Escape")
        again = page.locator("#panel").get_by_role("button", name="Sign in")
        again.focus()
        page.wait_for_timeout(3000)  # readings go on being refused, and take the focus from nobody
        expect(again).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.type("tg_wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("does not know that key")
        page.locator("#key").fill(guarded.key)
        page.keyboard.press("Enter")
        expect(page.locator("#server-status")).to_have_text("1 of 1 ready")
        expect(page.locator("#main")).to_be_focused()
        expect(page.locator("#sign-in")).to_have_text("Signed in as shop")
        assert opened.too_wide() == []
