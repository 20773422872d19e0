"""Each kind of model is tried by hand: a picture chosen, dropped, pasted or an example, a prompt, a conversation."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, FilePayload, expect

from tests.e2e.console.conftest import ConsoleServer
from tests.e2e.console.page import ConsolePage, open_page, rectangle
from tests.pictures import encode

pytestmark = pytest.mark.e2e


def picture(pixels: np.ndarray) -> FilePayload:
    return {
        "name": "picture.png",
        "mimeType": "image/png",
        "buffer": encode(Image.fromarray(pixels.astype(np.uint8)), "PNG"),
    }


def corner(height: int = 320, width: int = 480) -> np.ndarray:
    """Dark, but for a light quarter of a quarter at the top left: one cell of the detector."""
    pixels = np.zeros((height, width, 3))
    pixels[: height // 4, : width // 4] = 235
    return pixels


def test_a_chosen_picture_gets_labels_with_bars(console: ConsolePage) -> None:
    console.go("try", "colours")
    console.page.set_input_files("#picture", picture(np.full((64, 64, 3), (255, 0, 0))))
    first = console.page.locator(".labels li").first
    expect(first).to_contain_text("red")
    assert console.page.locator(".labels li").count() == 5
    share = float(re.findall(r"([\d.]+) %", first.inner_text())[0])
    bar, track = rectangle(first.locator(".bar")), rectangle(first.locator(".bar-track"))
    assert 100 * bar["width"] / track["width"] == pytest.approx(share, abs=1)


def test_a_box_is_drawn_where_the_object_is(console: ConsolePage) -> None:
    console.go("try", "cells")
    console.page.set_input_files("#picture", picture(corner()))
    expect(console.page.locator(".object")).to_have_count(1)
    expect(console.page.locator(".object-label")).to_contain_text("light")
    box, image = rectangle(console.page.locator(".object")), rectangle(console.page.locator(".canvas img"))
    assert box["x"] == pytest.approx(image["x"], abs=2)
    assert box["y"] == pytest.approx(image["y"], abs=2)
    assert box["width"] == pytest.approx(image["width"] / 4, abs=3)
    assert box["height"] == pytest.approx(image["height"] / 4, abs=3)


def test_a_higher_score_leaves_fewer_boxes(console: ConsolePage) -> None:
    console.go("try", "cells")
    console.page.locator(".example").first.click()
    expect(console.page.locator(".answer h3")).to_contain_text("object")
    slider = console.page.locator("#option-score_threshold")
    slider.focus()
    slider.press("End")
    expect(console.page.locator(".answer")).to_contain_text("Nothing above this score")


def test_a_mask_lies_over_the_picture_and_fades(console: ConsolePage) -> None:
    console.go("try", "patches")
    console.page.set_input_files("#picture", picture(corner()))
    background, light = (console.page.locator(".found-list li", has_text=name) for name in ("background", "light"))
    expect(light).to_contain_text("mean confidence")
    alpha = "(mask, at) => mask.getContext('2d').getImageData(...at, 1, 1).data[3]"
    mask = console.page.locator("canvas.mask")
    assert mask.evaluate(alpha, [20, 20]) == 255, "the light corner"
    assert mask.evaluate(alpha, [400, 300]) == 0, "the background is not drawn until it is asked for"
    background.locator("input").check()
    assert mask.evaluate(alpha, [400, 300]) == 255
    light.locator("input").uncheck()
    assert mask.evaluate(alpha, [20, 20]) == 0
    console.page.locator("#opacity").fill("25")
    assert mask.evaluate("(mask) => getComputedStyle(mask).opacity") == "0.25"


def test_a_dropped_picture_gets_a_caption(console: ConsolePage) -> None:
    console.go("try", "tiny-captioner")
    data = list(picture(corner())["buffer"])
    transfer = console.page.evaluate_handle(
        "(data) => { const t = new DataTransfer();"
        " t.items.add(new File([new Uint8Array(data)], 'p.png', {type: 'image/png'})); return t; }",
        data,
    )
    console.page.dispatch_event(".drop", "drop", {"dataTransfer": transfer})
    expect(console.page.locator(".caption")).to_have_text(re.compile(r"\S"))
    expect(console.page.locator(".answer")).to_contain_text("tokens, score")


def test_a_pasted_picture_is_taken(console: ConsolePage) -> None:
    console.go("try", "colours")
    console.page.evaluate(
        "(data) => { const t = new DataTransfer();"
        " t.items.add(new File([new Uint8Array(data)], 'p.png', {type: 'image/png'}));"
        " document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: t})); }",
        list(picture(np.full((8, 8, 3), (0, 0, 255)))["buffer"]),
    )
    expect(console.page.locator(".labels li").first).to_contain_text("blue")


def test_a_prompt_is_streamed_to_its_end(console: ConsolePage) -> None:
    console.go("try", "tiny")
    console.page.get_by_role("button", name="Continue a text").click()
    console.page.fill("#prompt", "Return the")
    console.page.fill("#option-max_tokens", "12")
    console.page.fill("#option-seed", "3")
    console.page.get_by_role("button", name="Write on").click()
    expect(console.page.locator(".text-pane")).to_contain_text(re.compile(r"\d+ tokens, first after .* ms"))
    expect(console.page.locator("[data-streamed]")).to_have_text(re.compile(r"\S"))
    expect(console.page.get_by_role("button", name="Stop")).to_be_hidden()


def test_a_stream_is_stopped_and_keeps_what_was_written(console: ConsolePage, console_server: ConsoleServer) -> None:
    console.go("try", "slow")
    console.page.get_by_role("button", name="Continue a text").click()
    console.page.fill("#prompt", "Once")
    console.page.fill("#option-max_tokens", "8000")
    console.page.fill("#option-temperature", "0")
    console.page.get_by_role("button", name="Write on").click()
    written = console.page.locator("[data-streamed]")
    expect(written).to_have_text(re.compile(r"\S{3}"))
    expect(console.page.locator(".text-pane [role=status]")).to_have_text("Writing …")
    console.page.get_by_role("button", name="Stop").click()
    expect(console.page.locator(".text-pane")).to_contain_text("You stopped it.")
    kept = written.inner_text()
    assert kept.strip()
    console.page.wait_for_timeout(500)
    assert written.inner_text() == kept
    console.go("live", "slow")
    expect(console.page.locator(".chart", has_text="Queue")).to_contain_text("in flight 0")


def test_a_chat_model_is_talked_to(console: ConsolePage) -> None:
    console.go("try", "tiny")
    console.page.fill("#option-max_tokens", "8")
    for number in (1, 2):
        console.page.fill("#message", f"Hello {number}")
        console.page.locator("#message").press("Control+Enter")
        expect(console.page.locator(".bubble.user")).to_have_count(number)
        expect(console.page.locator(".text-pane")).to_contain_text(re.compile(r"\d+ tokens of prompt"))
        expect(console.page.get_by_role("button", name="Send")).to_be_enabled()
    expect(console.page.locator(".bubble.assistant")).to_have_count(2)
    console.page.get_by_role("button", name="New conversation").click()
    expect(console.page.locator(".bubble")).to_have_count(0)


SEND_TWICE_AT_ONCE = """() => {
  const box = document.querySelector("#message");
  for (const text of ["Once", "Twice"]) {
    box.value = text;
    box.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", ctrlKey: true, bubbles: true}));
  }
}"""
"""Between two keys of a person an answer may have ended by itself."""


def test_a_new_conversation_knows_nothing_of_the_one_that_was_cut_short(console: ConsolePage) -> None:
    asked: list[object] = []
    console.page.on("request", lambda one: asked.append(one.post_data_json) if "chat" in one.url else None)
    console.go("try", "slow")
    console.page.fill("#option-max_tokens", "8000")
    console.page.fill("#option-temperature", "0")
    console.page.evaluate(SEND_TWICE_AT_ONCE)
    expect(console.page.locator("[data-streamed]")).to_have_text(re.compile(r"\S{3}"))
    expect(console.page.locator(".bubble.user")).to_have_count(1)
    console.page.get_by_role("button", name="New conversation").click()
    expect(console.page.get_by_role("button", name="Send")).to_be_enabled()
    console.page.locator("#message").press("Control+Enter")
    expect(console.page.locator("[data-streamed]")).to_have_text(re.compile(r"\S{3}"))
    console.page.get_by_role("button", name="Stop").click()
    sent = [one["messages"] for one in asked if isinstance(one, dict)]
    assert sent == [[{"role": "user", "content": "Once"}], [{"role": "user", "content": "Twice"}]]


@pytest.mark.parametrize(("model", "name"), [("colours", "notes.png"), ("cells", "empty.png")])
def test_what_is_no_picture_is_told_in_words(
    browser: Browser, console_server: ConsoleServer, model: str, name: str
) -> None:
    with open_page(browser, console_server.running.http) as opened:
        opened.go("try", model)
        opened.page.set_input_files("#picture", {"name": name, "mimeType": "image/png", "buffer": b"no picture at all"})
        alert = opened.page.locator(".answer [role=alert]")
        expect(alert).to_have_text(re.compile(r"\w{3}.* "))
        expect(alert).not_to_contain_text("{")
        assert all("400" in problem for problem in opened.problems)


def test_what_can_not_be_generated_is_told_in_words(browser: Browser, console_server: ConsoleServer) -> None:
    with open_page(browser, console_server.running.http) as opened:
        opened.go("try", "tiny")
        opened.page.get_by_role("button", name="Continue a text").click()
        opened.page.fill("#prompt", "word " * 3000)
        opened.page.get_by_role("button", name="Write on").click()
        expect(opened.page.locator(".text-pane [role=alert]")).to_contain_text("tokens")
