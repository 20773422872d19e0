from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.challenger import challenger_loader
from serving.deadline import Deadline
from serving.served import Served
from serving.served_model import ServedModel
from tasks.errors import NotFound, NotReady
from tests.handmade import Handmade
from tests.handmade_segmentation import build_segmenter
from tests.serving.challenger.conftest import Starter, state_of
from tests.serving.host_server import HostServer, until
from tests.serving.remote_store import RemoteStore

PICTURE = np.full((1, 32, 32, 3), 10, np.uint8)


def chosen(server: HostServer, version: str | None = None) -> str | None:
    """The version that answers a request instead of the champion."""
    canary = server.host.challengers.canary(server.host.get("colours", version), version, b"a-request")
    return None if canary is None else canary.model.version


async def says(model: Served) -> int:
    """The class of a dark picture."""
    assert isinstance(model, ServedModel)
    return int((await model.infer({"image": PICTURE}, Deadline.after(10)))["logits"][0].argmax())


async def test_the_challenger_answers_its_share_and_no_request_that_names_a_version(start: Starter) -> None:
    server = await start(challenger_share=1.0)
    assert chosen(server) == "3"
    assert chosen(server, "1") is None
    assert server.host.get("colours").version == "1"
    assert await says(server.host.get("colours", "3")) == 4
    assert 'tidegate_challenger_ready{model="colours",version="3"} 1.0' in server.scrape()
    assert server.scrape().count('tidegate_model_ready{model="colours"}') == 1


async def test_without_a_share_nothing_is_loaded_beside_the_champion(start: Starter) -> None:
    server = await start(challenger=None)
    await asyncio.sleep(0.05)
    assert chosen(server) is None
    assert [one.version for one in server.host.index()] == ["1"]
    with pytest.raises(NotFound):
        server.host.get("colours", "3")


async def test_it_comes_moves_and_goes_with_its_alias(store: RemoteStore, start: Starter) -> None:
    store.delete_alias("colours", "challenger")
    server = await start(challenger=None, challenger_share=1.0)
    assert chosen(server) is None
    store.set_alias("colours", "challenger", "2")
    await until(lambda: chosen(server) == "2")
    store.set_alias("colours", "challenger", "3")
    await until(lambda: chosen(server) == "3")
    store.delete_alias("colours", "challenger")
    await until(lambda: chosen(server) is None)
    assert [one.version for one in server.host.index()] == ["1"]
    await until(lambda: not server.host.challengers._retiring)


async def test_a_promoted_challenger_goes_on_as_it_is(store: RemoteStore, start: Starter) -> None:
    server = await start(challenger_share=1.0, shadow_share=1.0)
    challenger = server.host.get("colours", "3")
    store.set_alias("colours", "champion", "3")
    await until(lambda: server.host.get("colours") is challenger)
    await until(lambda: [one.version for one in server.host.index()] == ["3"])
    assert chosen(server) is None  # no second copy of the same version
    assert challenger.tap is None
    assert await says(challenger) == 4
    assert 'tidegate_model_info{digest="' in server.scrape()
    store.set_alias("colours", "champion", "1")
    await until(lambda: state_of(server, "3") == "READY" and chosen(server) == "3")


async def test_one_that_fails_to_load_harms_nobody_and_is_not_tried_again(store: RemoteStore, start: Starter) -> None:
    with (store.folder("colours", "3") / "fp32" / "model.onnx").open("ab") as file:
        file.write(b"!")
    server = await start(challenger=None, challenger_share=1.0)
    await until(lambda: state_of(server, "3") == "UNAVAILABLE")
    assert chosen(server) is None
    assert server.host.ready()
    assert await says(server.host.get("colours")) == 0
    await asyncio.sleep(0.05)
    scraped = server.scrape()
    assert 'tidegate_challenger_load_failures_total{model="colours"} 1.0' in scraped
    assert 'tidegate_challenger_ready{model="colours",version="3"} 0.0' in scraped
    assert 'tidegate_canary_requests_total{model="colours",outcome="unavailable",version="3"} 1.0' in scraped
    assert 'tidegate_model_load_failures_total{model="colours"} 1.0' not in scraped
    store.set_alias("colours", "challenger", "2")
    await until(lambda: chosen(server) == "2")


async def test_one_that_can_not_be_fetched_is_tried_again(
    store: RemoteStore, start: Starter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    download, num_tries = store.download, 0

    def fail(info: Any, folder: Path) -> Path:
        nonlocal num_tries
        if info.version == "3":
            num_tries += 1
            raise NotReady("the artifacts do not answer")
        return download(info, folder)

    with monkeypatch.context() as patched:
        patched.setattr(store, "download", fail)
        server = await start(challenger=None, challenger_share=1.0)
        await until(lambda: num_tries > 2)
        assert state_of(server, "3") == "UNAVAILABLE"
        assert caplog.text.count("the artifacts do not answer") == 1
    await until(lambda: chosen(server) == "3")
    (line,) = [one for one in server.host.index() if one.version == "3"]
    assert (line.state, line.reason) == ("READY", "")


async def test_one_that_takes_for_ever_to_load_keeps_no_champion_from_its_place(
    store: RemoteStore, start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, load = threading.Event(), challenger_loader.load

    def load_late(*arguments: Any) -> Any:
        gate.wait(30)
        return load(*arguments)

    monkeypatch.setattr(challenger_loader, "load", load_late)
    try:
        server = await start(challenger=None, challenger_share=1.0)
        await until(lambda: state_of(server, "3") == "LOADING")
        assert chosen(server) is None
        store.set_alias("colours", "champion", "2")
        await until(lambda: server.host.get("colours").version == "2")
        store.set_alias("colours", "champion", "3")  # loaded once more rather than waited for
        await until(lambda: server.host.get("colours").version == "3")
        champion = server.host.get("colours")
    finally:
        gate.set()
    await until(lambda: [one.version for one in server.host.index()] == ["3"])
    assert server.host.get("colours") is champion
    assert chosen(server) is None
    assert "tidegate_model_info" in server.scrape()


async def test_one_that_hangs_gets_no_traffic_until_it_goes_on(start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    server = await start(challenger_share=1.0)
    challenger = server.host.get("colours", "3")
    with monkeypatch.context() as patched:
        patched.setattr(challenger.batcher, "stalled_s", lambda: 6.0)
        assert chosen(server) is None
        assert 'tidegate_challenger_ready{model="colours",version="3"} 0.0' in server.scrape()
    assert chosen(server) == "3"


async def test_it_waits_for_the_store_as_the_champion_does(store: RemoteStore, start: Starter) -> None:
    server = await start(challenger_share=1.0)
    store.away = True
    await until(lambda: "tidegate_registry_up 0.0" in server.scrape())
    assert chosen(server) == "3"
    store.away = False
    store.set_alias("colours", "challenger", "2")
    await until(lambda: chosen(server) == "2")


async def test_what_is_made_for_another_task_is_no_challenger(
    store: RemoteStore, start: Starter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.publish(build_segmenter(tmp_path / "other", Handmade()).folder)
    store.set_alias("colours", "challenger", "4")
    server = await start(challenger=None, challenger_share=1.0)
    await until(lambda: state_of(server, "4") == "UNAVAILABLE")
    assert "it is made for segmentation, and its champion for classification" in caplog.text
    assert chosen(server) is None


async def test_unloading_the_model_takes_its_challenger_along(start: Starter) -> None:
    server = await start(challenger_share=1.0)
    await server.host.unload("colours")
    await until(lambda: state_of(server, "3") == "")
    with pytest.raises(NotReady):
        server.host.get("colours")
    await server.host.load("colours")
    await until(lambda: chosen(server) == "3")


async def test_a_pinned_version_and_an_alias_of_its_own_have_no_challenger(store: RemoteStore, start: Starter) -> None:
    server = await start(challenger=None, models=("colours/2", "colours"), challenger_share=1.0)
    await asyncio.sleep(0.05)
    assert server.host.get("colours").version == "2"  # the first reference is what a plain name means
    assert chosen(server) is None
    assert state_of(server, "3") == ""
