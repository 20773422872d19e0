from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry.package_cache import folder_bytes
from serving.deadline import Deadline
from serving.runtimes.fake import FakeRemote
from serving.served_model import ServedModel
from tasks.errors import InvalidPackage, NotFound, NotReady
from tests.handmade import Handmade, build_package
from tests.serving.host_server import HostServer, host_server, publish, until
from tests.serving.remote_store import RemoteStore

PICTURE = np.full((1, 32, 32, 3), 200, np.uint8)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders colours-0 … colours-2 (told apart by the last logit) and shapes-0."""
    root = tmp_path_factory.mktemp("packages")
    for shift in range(3):
        build_package(root / f"colours-{shift}", Handmade(shift=float(shift)))
    build_package(root / "shapes-0", Handmade(name="shapes"))
    return root


@pytest.fixture
def store(tmp_path: Path, packages: Path) -> RemoteStore:
    """colours/1 is the champion."""
    made = RemoteStore(tmp_path / "store")
    made.publish(packages / "colours-0")
    made.set_alias("colours", "champion", "1")
    return made


def damage(store: RemoteStore, version: str) -> None:
    with (store.folder("colours", version) / "fp32" / "model.onnx").open("ab") as file:
        file.write(b"!")


Starter = Callable[..., Any]


@pytest.fixture
async def start(store: RemoteStore) -> AsyncIterator[Starter]:
    """`await start(max_batch=4)` → a running HostServer on the store."""
    async with AsyncExitStack() as stack:

        async def begin(**settings: Any) -> HostServer:
            return await stack.enter_async_context(host_server(store, **settings))

        yield begin


async def last_logit(model: ServedModel) -> float:
    return float((await model.infer({"image": PICTURE}, Deadline.after(10)))["logits"][0, -1])


async def test_every_champion_is_served_and_nothing_else(store: RemoteStore, start: Starter, packages: Path) -> None:
    publish(store, packages / "shapes-0")
    store.publish(packages / "colours-1")
    server = await start()
    assert server.states() == {"colours": "READY", "shapes": "READY"}
    assert server.host.get("colours").version == "1"
    assert server.host.ready()
    with pytest.raises(NotFound, match="served are: colours, shapes"):
        server.host.get("cats")
    with pytest.raises(NotFound, match="served is 1"):
        server.host.get("colours", "2")


async def test_before_the_first_look_at_the_store_nothing_is_said_to_be_missing(store: RemoteStore) -> None:
    server = HostServer(store)
    with pytest.raises(NotReady, match="has not looked yet"):
        server.host.get("colours")
    await server.host.stop()
    server.feed.close()
    server.pool.close()


async def test_references_name_aliases_and_versions(store: RemoteStore, start: Starter, packages: Path) -> None:
    store.publish(packages / "colours-1")
    store.set_alias("colours", "challenger", "2")
    server = await start(models=("colours", "colours@challenger"))
    assert server.host.get("colours").version == "1"
    assert await last_logit(server.host.get("colours", "2")) == await last_logit(server.host.get("colours")) + 1


async def test_a_model_that_fails_to_load_leaves_the_others_serving(
    store: RemoteStore, start: Starter, packages: Path
) -> None:
    publish(store, packages / "shapes-0")
    damage(store, "1")
    server = await start(models=("colours", "shapes", "cats"))
    assert server.states() == {"colours": "UNAVAILABLE", "shapes": "READY", "cats": "UNAVAILABLE"}
    assert server.host.ready()
    with pytest.raises(NotReady, match="colours"):
        server.host.get("colours")
    with pytest.raises(NotReady, match="no model 'cats'"):
        server.host.get("cats")
    assert server.host.get("shapes").version == "1"


@pytest.mark.parametrize("swap", ["beside", "replace"])
async def test_a_new_champion_takes_over(store: RemoteStore, start: Starter, packages: Path, swap: str) -> None:
    server = await start(swap=swap)
    old = server.host.get("colours")
    before = await last_logit(old)
    publish(store, packages / "colours-1")
    await until(lambda: server.host.index()[0].version == "2" and server.states() == {"colours": "READY"})
    assert await last_logit(server.host.get("colours")) == before + 1
    assert 'version="2"' in server.scrape()
    with pytest.raises(NotFound):
        server.host.get("colours", "1")


async def test_no_request_is_lost_while_versions_change(store: RemoteStore, start: Starter, packages: Path) -> None:
    server = await start()
    seen: set[str] = set()
    stop = asyncio.Event()

    async def client() -> None:
        while not stop.is_set():
            model = server.host.get("colours")
            seen.add(model.version)
            await last_logit(model)

    clients = [asyncio.create_task(client()) for _ in range(8)]
    for shift in (1, 2):
        version = publish(store, packages / f"colours-{shift}")
        await until(lambda version=version: version in seen)
    stop.set()
    await asyncio.gather(*clients)
    assert {"1", "2", "3"} <= seen


async def test_the_old_version_finishes_its_work(store: RemoteStore, start: Starter, packages: Path) -> None:
    server = await start()
    old = server.host.get("colours")
    with old.lease():
        publish(store, packages / "colours-1")
        await until(lambda: server.host.get("colours") is not old)
        assert await last_logit(old) < await last_logit(server.host.get("colours"))
    await until(lambda: not server.host._retirements)
    with pytest.raises(NotReady):
        await last_logit(old)


@pytest.mark.parametrize("swap", ["beside", "replace"])
async def test_a_new_version_that_fails_leaves_the_old_one_and_says_why(
    store: RemoteStore, start: Starter, packages: Path, swap: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = await start(swap=swap)
    publish(store, packages / "colours-1")
    damage(store, "2")
    await until(lambda: "altered" in server.reason())
    assert server.host.get("colours").version == "1"
    assert server.states() == {"colours": "READY"}
    assert "altered" in server.scrape()
    assert 'tidegate_model_load_failures_total{model="colours"} 1.0' in server.scrape()
    assert "altered" in caplog.text
    await last_logit(server.host.get("colours"))
    store.set_alias("colours", "champion", "1")
    await until(lambda: server.reason() == "")


async def test_replacing_falls_back_when_the_new_version_does_not_prove_itself(
    store: RemoteStore, start: Starter, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serving import model_host

    server = await start(swap="replace")
    original = model_host.load

    def refuse_version_two(package: Any, *rest: Any) -> Any:
        if package.digest != store.versions("colours")[0].digest:
            raise InvalidPackage("golden input 0 decided otherwise")
        return original(package, *rest)

    monkeypatch.setattr(model_host, "load", refuse_version_two)
    publish(store, packages / "colours-1")
    await until(lambda: "decided otherwise" in server.reason() and server.states() == {"colours": "READY"})
    assert server.host.get("colours").version == "1"
    await last_logit(server.host.get("colours"))


async def test_the_registry_goes_away_and_comes_back(
    store: RemoteStore, start: Starter, packages: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = await start()
    store.away = True
    await asyncio.sleep(0.05)
    await last_logit(server.host.get("colours"))
    assert server.host.ready()
    assert "tidegate_registry_up 0.0" in server.scrape()
    assert caplog.text.count("can not be reached") == 1, "said once, not at every look"
    store.away = False
    publish(store, packages / "colours-1")
    await until(lambda: server.host.get("colours").version == "2")
    assert "tidegate_registry_up 1.0" in server.scrape()


@pytest.mark.parametrize("models", [(), ("colours",)])
async def test_a_start_without_the_registry_serves_the_last_good_copy(
    store: RemoteStore, start: Starter, models: tuple[str, ...]
) -> None:
    first = await start(models=models)
    assert first.host.ready()
    store.away = True
    second = await start(models=models)
    assert second.host.get("colours").version == "1"
    assert store.num_downloads == 1


async def test_a_first_start_without_the_registry_waits_for_it(store: RemoteStore, start: Starter) -> None:
    store.away = True
    server = await start(models=("colours",))
    assert not server.host.ready()
    assert "does not answer" in server.reason()
    assert "tidegate_registry_up 0.0" in server.scrape(), "whoever is woken is told what is away"
    store.away = False
    await until(server.host.ready)
    assert "tidegate_registry_up 1.0" in server.scrape()


async def test_a_model_gets_its_first_champion_while_the_server_runs(
    store: RemoteStore, start: Starter, packages: Path
) -> None:
    server = await start()
    publish(store, packages / "shapes-0")
    await until(lambda: server.states().get("shapes") == "READY")


async def test_unloading_and_loading_by_hand(store: RemoteStore, start: Starter) -> None:
    server = await start()
    await server.host.unload("colours")
    assert server.states() == {"colours": "UNAVAILABLE"}
    with pytest.raises(NotReady, match="unloaded"):
        server.host.get("colours")
    await asyncio.sleep(0.05)
    assert server.states() == {"colours": "UNAVAILABLE"}, "polling does not bring back what was unloaded by hand"
    await server.host.load("colours")
    await last_logit(server.host.get("colours"))
    with pytest.raises(NotFound):
        await server.host.unload("cats")
    with pytest.raises(NotFound):
        await server.host.load("cats")
    assert "cats" not in server.states()


async def test_the_cache_keeps_to_its_budget_and_never_loses_what_is_served(
    store: RemoteStore, start: Starter, packages: Path
) -> None:
    one_package = folder_bytes(packages / "colours-0")
    server = await start(cache_budget_bytes=one_package * 2)
    for shift in (1, 2):
        version = publish(store, packages / f"colours-{shift}")
        await until(lambda version=version: server.host.get("colours").version == version)
        await until(lambda: not server.host._retirements)
    cache = Path(server.config.cache_dir)
    await until(lambda: sum(1 for folder in cache.iterdir() if folder.is_dir()) <= 2)
    assert (cache / server.host.get("colours").package.digest).is_dir()


async def test_a_damaged_copy_in_the_cache_is_fetched_again(store: RemoteStore, start: Starter) -> None:
    first = await start()
    copy = Path(first.config.cache_dir) / first.host.get("colours").package.digest
    (copy / "manifest.json").write_bytes(b"{}")
    second = await start()
    assert second.host.ready()
    assert store.num_downloads == 2


async def test_draining_is_not_ready_at_once_and_still_answers(store: RemoteStore, start: Starter) -> None:
    server = await start()
    server.host.draining = True
    assert not server.host.ready()
    await last_logit(server.host.get("colours"))


async def test_a_model_whose_runtime_hangs_is_not_ready(
    store: RemoteStore, start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await start()
    monkeypatch.setattr(server.host.get("colours").batcher, "stalled_s", lambda: 61.0)
    assert server.states() == {"colours": "UNAVAILABLE"}
    assert not server.host.ready()
    assert "60 s" in server.reason()  # the limit: a label that grew would be a new series at every scrape
    await server.host.load("colours")
    assert server.states() == {"colours": "READY"}
    await last_logit(server.host.get("colours"))


async def test_a_model_whose_runtime_is_away_is_not_ready_until_it_is_back(store: RemoteStore, start: Starter) -> None:
    server = await start()
    model = server.host.get("colours")
    assert isinstance(model, ServedModel)
    remote = FakeRemote(lambda inputs: {}, model.runtime.inputs, model.runtime.outputs, num_slots=2)
    local, model.runtime = model.runtime, remote
    assert server.states() == {"colours": "READY"}
    remote.ailment = "it does not answer"
    assert server.states() == {"colours": "UNAVAILABLE"}
    assert server.reason() == "it does not answer"
    assert not server.host.ready()
    remote.ailment = ""
    assert server.host.ready()
    model.runtime = local


async def test_losing_the_whole_cache_is_survived(store: RemoteStore, start: Starter, packages: Path) -> None:
    server = await start()
    shutil.rmtree(server.config.cache_dir)
    await last_logit(server.host.get("colours"))
    publish(store, packages / "colours-1")
    await until(lambda: server.host.get("colours").version == "2")
