"""Models, charts, drift and promotions in a real browser: what is shown is true, and can be reached by keys alone."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from registry.reference import ModelRef
from tests.e2e.conftest import TOKEN
from tests.e2e.console.conftest import ConsoleServer
from tests.e2e.console.page import ConsolePage, open_page
from tests.handmade import encoded

pytestmark = pytest.mark.e2e
VIEWS = ("models", "live", "drift", "try", "promotions")


def classify(server: ConsoleServer, count: int) -> None:
    """Pictures of all colours."""
    for seed in range(count):
        address = f"http://{server.running.http}/v1/models/colours/classify"
        with urllib.request.urlopen(urllib.request.Request(address, encoded(seed)), timeout=60) as answer:
            assert answer.status == 200


def wait_for_drift(server: ConsoleServer, count: int) -> None:
    address = f"http://{server.running.http}/v1/models/colours/drift"
    for _ in range(1000):
        with urllib.request.urlopen(address, timeout=60) as answer:
            if json.load(answer)["num_images"] >= count:
                return
        time.sleep(0.1)
    raise AssertionError("monitoring never saw the pictures")


def test_models_show_version_state_and_evidence(console: ConsolePage) -> None:
    console.go("models")
    cards = console.page.locator(".model")
    expect(cards).to_have_count(6)
    colours = cards.filter(has=console.page.get_by_role("heading", name="colours"))
    expect(colours).to_contain_text("ready")
    row = colours.get_by_role("row", name=re.compile("fp32"))
    expect(row).to_contain_text("95.0 %")
    expect(row).to_contain_text("1 of 1 held")
    expect(row).to_contain_text("0.100 ms")
    colours.get_by_text("Gates and classes in full").click()
    expect(colours).to_contain_text("Decision agreement")


@pytest.mark.parametrize("address", ["#/constructor", "#/live/%E0%A4", "#"])
def test_an_address_that_leads_nowhere_shows_the_models(console: ConsolePage, address: str) -> None:
    console.go("live", "colours")
    expect(console.page).to_have_title("Live · Tidegate")
    console.page.evaluate("(address) => { location.hash = address; }", address)
    expect(console.page).to_have_title("Models · Tidegate")
    expect(console.page.locator(".view-models")).to_be_visible()


def test_charts_follow_the_traffic(console: ConsolePage, console_server: ConsoleServer) -> None:
    console.go("live", "colours")
    throughput = console.page.locator(".chart", has_text="Throughput")
    expect(throughput).to_contain_text("answered 0 /s")
    classify(console_server, 12)
    expect(throughput).to_contain_text(re.compile(r"answered [\d.]*[1-9][\d.]* /s"))
    expect(console.page.locator(".chart", has_text="Latency")).to_contain_text(re.compile(r"p99 [\d.]+ ms"))
    expect(throughput.locator("path.line").first).to_be_attached()
    throughput.locator(".plot").hover()
    expect(throughput.locator(".tip")).to_contain_text("answered")


def test_nothing_is_lost_while_the_tab_sleeps(console: ConsolePage, console_server: ConsoleServer) -> None:
    """A page that is not seen asks nothing; its next reading holds everything since."""
    console.go("live", "colours")
    expect(console.page.locator(".chart", has_text="Throughput")).to_contain_text("answered 0 /s")
    polls: list[str] = []
    console.page.on("request", lambda request: polls.append(request.url) if "/api/live" in request.url else None)
    console.page.evaluate(
        "Object.defineProperty(document, 'hidden', {configurable: true, get: () => true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    console.page.wait_for_timeout(3000)
    polls.clear()
    classify(console_server, 10)
    console.page.wait_for_timeout(5000)
    assert polls == []
    console.page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    expect(console.page.locator(".chart", has_text="Throughput")).to_contain_text(re.compile(r"answered 0?\.?\d*[1-9]"))


def test_drift_shows_both_histograms_of_each_signal(console: ConsolePage, console_server: ConsoleServer) -> None:
    classify(console_server, 40)
    wait_for_drift(console_server, 40)
    console.go("drift", "colours")
    expect(console.page.locator(".notice[role=status]")).to_contain_text("Reference: 64 held-out examples")
    signals = console.page.locator(".signal")
    assert signals.count() >= 5
    predicted = signals.filter(has=console.page.get_by_role("heading", name="Predicted class"))
    expect(predicted.locator("rect.reference").first).to_be_visible()
    assert predicted.locator("rect.live").count() == predicted.locator("rect.reference").count() >= 5
    predicted.locator(".plot").focus()
    predicted.locator(".plot").press("ArrowRight")
    expect(predicted.locator(".tip")).to_contain_text(re.compile(r"dark\s*reference .* %\s*live .* %"))
    predicted.get_by_text("Numbers").click()
    expect(predicted.get_by_role("cell", name="red")).to_be_visible()


def test_without_a_token_a_rollback_asks_for_one(console: ConsolePage, console_server: ConsoleServer) -> None:
    version = console_server.promote_next(shift=0.01)
    console.go("promotions", "colours")
    expect(console.page.locator(".champion")).to_contain_text(f"This server answers with version {version}.")
    console.page.get_by_role("button", name="Roll back").click()
    dialog = console.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Rolling back is for administrators")
    console.page.fill("#key", "wrong")
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog.get_by_role("alert")).to_contain_text("does not know that key")
    console.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert console_server.store.resolve(ModelRef.parse("colours")).version == version


def test_an_administrator_rolls_back_after_being_told_what_will_happen(
    browser: Browser, console_server: ConsoleServer
) -> None:
    before = console_server.store.resolve(ModelRef.parse("colours")).version
    version = console_server.promote_next(shift=0.02)
    with open_page(browser, console_server.running.http, fragment=f"#token={TOKEN}") as opened:
        expect(opened.page.locator("#sign-in")).to_have_text("Signed in as admin")
        assert TOKEN not in opened.page.url
        opened.go("promotions", "colours")
        expect(opened.page.locator(".champion")).to_contain_text(f"This server answers with version {version}.")
        expect(opened.page.locator(".timeline li").first).to_contain_text("by a colleague")
        opened.page.get_by_role("button", name="Roll back").click()
        dialog = opened.page.get_by_role("dialog")
        expect(dialog).to_contain_text(f"version {version} → version {before}")
        expect(dialog).to_contain_text("Requests that are being answered are not cut off")
        dialog.get_by_role("button", name=f"Roll back to version {before}").click()
        expect(dialog).to_be_hidden()
        expect(opened.page.locator(".champion")).to_contain_text(f"This server answers with version {before}.")
        expect(opened.page.locator(".timeline li").first).to_contain_text("rolled back")
        assert opened.problems == []
    assert console_server.store.resolve(ModelRef.parse("colours")).version == before


def test_all_of_it_is_reached_by_keys_alone(console: ConsolePage) -> None:
    page = console.page
    console.go("models")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.locator("#tab-models").focus()
    for view in (*VIEWS[1:], "models"):
        page.keyboard.press("ArrowRight")
        expect(page.locator(f"#tab-{view}")).to_be_focused()
        expect(page.locator(f"#tab-{view}")).to_have_attribute("aria-selected", "true")
        expect(page.locator(f".view-{view}")).to_be_visible()
    page.keyboard.press("End")
    expect(page.locator("#tab-promotions")).to_be_focused()
    page.keyboard.press("Home")
    expect(page.locator("#tab-models")).to_be_focused()
    expect(page.locator(".view-models")).to_be_visible()
    page.keyboard.press("Tab")
    assert focused(page)["text"] == "Try it", "the first thing after the tabs"
    assert float(focused(page)["outline"]) >= 2
    page.keyboard.press("Enter")
    expect(page.locator(".view-try")).to_be_visible()
    address = page.url
    page.locator("#model").focus()
    page.keyboard.press("ArrowDown")
    expect(page).not_to_have_url(address)
    expect(page.locator("#model")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page).to_have_url(address)
    expect(page.get_by_text("it answers with boxes")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator("#picture")).to_be_focused()
    example = page.get_by_role("button", name="Example 1")
    expect(example).to_be_visible()
    page.keyboard.press("Tab")
    expect(example).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".answer h3")).to_be_visible()
    page.locator("#theme").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def focused(page: Page) -> dict[str, str]:
    """What has the focus, and how thick the line around it is."""
    found: dict[str, str] = page.evaluate(
        "() => { const e = document.activeElement;"
        " return {text: e.textContent, outline: parseFloat(getComputedStyle(e).outlineWidth) + ''}; }"
    )
    return found


def test_every_control_has_a_name(console: ConsolePage) -> None:
    for view in VIEWS:
        console.go(view, "tiny" if view == "try" else "colours")
        console.page.wait_for_timeout(300)
        nameless = console.page.evaluate(
            "[...document.querySelectorAll('button, input, select, textarea, [tabindex=\"0\"]')]"
            ".filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length))"
            ".map((e) => e.outerHTML)"
        )
        assert nameless == [], view


@pytest.mark.parametrize(
    ("width", "scheme"), [(400, "light"), (400, "dark"), (900, "light"), (1600, "light"), (1600, "dark")]
)
def test_nothing_is_wider_than_the_window(
    browser: Browser, console_server: ConsoleServer, width: int, scheme: Literal["light", "dark"]
) -> None:
    models = {"try": ("colours", "patches", "tiny-captioner", "tiny"), "drift": ("colours", "tiny")}
    with open_page(browser, console_server.running.http, width, scheme) as opened:
        for view in VIEWS:
            for model in models.get(view, ("colours",)):
                opened.go(view, model)
                if view == "try" and model != "tiny":
                    opened.page.locator(".example").first.click()
                    expect(opened.page.locator(".answer h3")).to_be_visible()
                for details in opened.page.locator("details").all():
                    details.evaluate("(e) => { e.open = true; }")
                opened.page.wait_for_timeout(200)
                assert opened.too_wide() == [], (view, model)
        background = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", background)[:3])) > 3 * 128) == (scheme == "light")
        assert opened.problems == []


def test_a_server_that_goes_away_is_told_and_found_again(browser: Browser, console_server: ConsoleServer) -> None:
    with open_page(browser, console_server.running.http) as opened:
        opened.go("models")
        opened.page.route("**/console/api/**", lambda route: route.abort())
        expect(opened.page.locator("#server-status")).to_have_text("not reachable")
        expect(opened.page.locator(".model")).to_have_count(6)
        opened.page.unroute("**/console/api/**")
        expect(opened.page.locator("#server-status")).to_contain_text("6 of 6 ready")
