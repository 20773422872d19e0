"""What is known of a registry that goes away and comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from serving.last_good import LastGood
from serving.metrics import Metrics
from serving.store_view import StoreView
from tests.serving.remote_store import RemoteStore

Result = TypeVar("Result")


async def here(work: Callable[[], Result]) -> Result:
    return work()


async def test_a_registry_without_models_is_up_again_when_it_is_back(tmp_path: Path) -> None:
    store, metrics = RemoteStore(tmp_path / "store"), Metrics()
    view = StoreView(store, LastGood(tmp_path / "cache"), metrics, here)
    known_up = []
    for store.away in (False, True, False):
        assert await view.champions() == []
        known_up.append(metrics.registry_up)
    assert known_up == [True, False, True]
