"""Nomination: who is tried beside the champion."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.local_store import LocalStore
from registry.manifest import GateResult
from registry.promotion import history, nominate, promote, rollback
from registry.reference import ModelRef
from tasks.errors import Conflict, NotFound
from tests.registry.conftest import Variation


@pytest.fixture
def cache(tmp_path: Path, store: LocalStore) -> Path:
    """Of a store whose champion is version 1."""
    promote(store, version("1"), cache=tmp_path / "cache", who="ann")
    return tmp_path / "cache"


def version(number: str) -> ModelRef:
    return ModelRef(name="colours", version=number)


def holders(store: LocalStore) -> dict[str, str]:
    return {alias: info.version for info in store.versions("colours") for alias in info.aliases}


def test_a_challenger_stands_beside_the_champion(store: LocalStore, cache: Path) -> None:
    event = nominate(store, version("2"), cache=cache, who="bob")
    assert holders(store) == {"champion": "1", "challenger": "2"}
    assert history(store, "colours")[-1] == event
    assert (event.alias, event.version, event.previous, event.who) == ("challenger", "2", None, "bob")
    assert nominate(store, version("3"), cache=cache, who="bob").previous == "2"


def test_its_gates_are_judged_against_the_champion_and_hold_nobody_back(
    store: LocalStore, cache: Path, vary: Variation
) -> None:
    worse = store.publish(vary(0.9).folder).version
    replay = GateResult(name="golden_replays", value=0, limit=1, passed=False)
    event = nominate(store, version(worse), cache=cache, who="bob", self_test=lambda _: (replay,))
    assert holders(store) == {"champion": "1", "challenger": worse}
    assert {gate.name for gate in event.gates if not gate.passed} == {"metric_drop", "golden_replays"}


def test_the_challenger_need_not_be_nominated_again(store: LocalStore, cache: Path) -> None:
    nominate(store, version("2"), cache=cache, who="bob")
    with pytest.raises(Conflict, match="colours/2 is the challenger already"):
        nominate(store, version("2"), cache=cache, who="bob")
    assert len(history(store, "colours")) == 2


def test_a_model_without_a_champion_may_have_a_challenger(store: LocalStore, tmp_path: Path) -> None:
    event = nominate(store, version("2"), cache=tmp_path / "cache", who="bob")
    assert holders(store) == {"challenger": "2"}
    assert "metric_drop" not in {gate.name for gate in event.gates}, "nothing can have dropped"


def test_nobody_is_nominated_who_is_not_there(store: LocalStore, cache: Path) -> None:
    with pytest.raises(NotFound):
        nominate(store, version("9"), cache=cache, who="bob")


def test_a_nomination_can_be_undone_without_touching_the_champion(store: LocalStore, cache: Path) -> None:
    for number in ("2", "3"):
        nominate(store, version(number), cache=cache, who="bob")
    rollback(store, "colours", who="ann", alias="challenger")
    assert holders(store) == {"champion": "1", "challenger": "2"}
    rollback(store, "colours", who="ann", alias="challenger")
    assert holders(store) == {"champion": "1"}
