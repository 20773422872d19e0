"""Promotion: what moves the alias, what does not, and what is remembered of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from registry.event import PromotionEvent
from registry.gates import PromotionPolicy
from registry.local_store import LocalStore
from registry.lock import LockRecord, hold_lock
from registry.manifest import GateResult
from registry.package import ModelPackage
from registry.promotion import effective, history, promote, rollback
from registry.promotion import interrupted as never_moved
from registry.reference import ModelRef
from tasks.errors import BadInput, Conflict, GateFailed, InvalidPackage, NotFound, NotReady
from tests.registry.conftest import Variation, reseal
from tests.registry.racers import Racer

Promote = Callable[..., PromotionEvent]


@pytest.fixture
def go(store: LocalStore, tmp_path: Path) -> Promote:
    """`go("2", expected="1")` promotes a version of colours."""

    def make(version: str, **options: object) -> PromotionEvent:
        ref = ModelRef(name="colours", version=version)
        return promote(store, ref, **{"cache": tmp_path / "cache", "who": "ann", **options})  # type: ignore[arg-type]

    return make


def champion(store: LocalStore, alias: str = "champion") -> str:
    """The version that holds the alias, "" for nobody."""
    return next((info.version for info in store.versions("colours") if alias in info.aliases), "")


def undo(store: LocalStore, **options: str) -> PromotionEvent:
    return rollback(store, "colours", who="bob", **options)


def interrupted(store: LocalStore, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """`act` dies between its event and its move."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "set_alias", die)
        patch.setattr(store, "delete_alias", die)
        with pytest.raises(KeyboardInterrupt):
            act()


def test_the_first_promotion_is_on_the_record(store: LocalStore, go: Promote) -> None:
    event = go("1")
    assert champion(store) == "1"
    assert history(store, "colours") == [event]
    assert (event.action, event.version, event.previous, event.who, event.force_reason) == (
        "promote",
        "1",
        None,
        "ann",
        "",
    )
    assert event.digest == store.resolve(ModelRef.parse("colours")).digest
    assert event.gates
    assert all(gate.passed for gate in event.gates)


def test_each_event_says_what_it_found(store: LocalStore, go: Promote) -> None:
    for version in ("1", "2", "3"):
        go(version)
    assert [(event.version, event.previous) for event in history(store, "colours")] == [
        ("1", None),
        ("2", "1"),
        ("3", "2"),
    ]
    assert store.lock_records("colours") == {}


def test_a_failed_gate_leaves_everything_as_it_was(store: LocalStore, go: Promote, vary: Variation) -> None:
    go("1")
    worse = store.publish(vary(0.9).folder).version
    with pytest.raises(GateFailed, match=r"(?s)colours/5 was not promoted.*FAIL  metric_drop +0\.05 +limit 0\.005"):
        go(worse)
    assert champion(store) == "1"
    assert len(history(store, "colours")) == 1


def test_the_policy_decides(store: LocalStore, go: Promote, vary: Variation) -> None:
    go("1")
    worse = store.publish(vary(0.9).folder).version
    go(worse, policy=PromotionPolicy(max_metric_drop=0.05))
    assert champion(store) == worse


def test_a_reason_overrules_and_is_kept(store: LocalStore, go: Promote, vary: Variation) -> None:
    go("1")
    worse = store.publish(vary(0.9).folder).version
    event = go(worse, force_reason="  the old one leaks memory ")
    assert champion(store) == worse
    assert event.force_reason == "the old one leaks memory"
    assert [gate.name for gate in history(store, "colours")[-1].gates if not gate.passed] == ["metric_drop"]


def test_a_blank_reason_is_none(store: LocalStore, go: Promote, vary: Variation) -> None:
    go("1")
    with pytest.raises(GateFailed):
        go(store.publish(vary(0.9).folder).version, force_reason=" \t")


def test_where_nothing_was_overruled_no_reason_is_recorded(go: Promote) -> None:
    assert go("1", force_reason="to be safe").force_reason == ""


def test_a_failed_self_test_fails_the_promotion(store: LocalStore, go: Promote) -> None:
    def self_test(package: ModelPackage) -> tuple[GateResult, ...]:
        return (GateResult(name="golden_replay_failures", value=1, limit=0, passed=False),)

    with pytest.raises(GateFailed, match="golden_replay_failures"):
        go("1", self_test=self_test)
    assert champion(store) == ""


@pytest.mark.parametrize("force_reason", ["", "we need it"])
def test_a_damaged_candidate_is_never_promoted(store: LocalStore, go: Promote, force_reason: str) -> None:
    (store.root / "colours" / "1" / "fp32" / "model.onnx").write_bytes(b"")
    with pytest.raises(InvalidPackage):
        go("1", force_reason=force_reason)
    assert (champion(store), history(store, "colours")) == ("", [])


def test_away_from_a_damaged_champion_by_force_alone(store: LocalStore, go: Promote) -> None:
    go("1")
    (store.root / "colours" / "1" / "manifest.json").write_text("{")
    with pytest.raises(GateFailed, match=r"unreadable_champion .*manifest\.json"):
        go("2")
    event = go("2", force_reason="version 1 is damaged on disk")
    assert (champion(store), event.previous) == ("2", "1")


def test_away_from_a_deleted_champion(store: LocalStore, go: Promote) -> None:
    go("1")
    shutil.rmtree(store.root / "colours" / "1")
    assert go("2").previous is None
    assert champion(store) == "2"


def test_the_expected_champion_is_a_precondition(store: LocalStore, go: Promote) -> None:
    with pytest.raises(Conflict, match="expected to be 1 and is nobody"):
        go("2", expected="1")
    go("1", expected="")
    with pytest.raises(Conflict, match="expected to be nobody and is 1"):
        go("2", expected="")
    go("2", expected="1")
    assert len(history(store, "colours")) == 2


def test_the_champion_is_not_promoted_again(store: LocalStore, go: Promote) -> None:
    go("1")
    with pytest.raises(Conflict, match="colours/1 holds the alias 'champion' already"):
        go("1")
    assert len(history(store, "colours")) == 1


def test_an_alias_that_moves_while_the_gates_are_judged_stops_the_promotion(store: LocalStore, go: Promote) -> None:
    def meanwhile(package: ModelPackage) -> tuple[GateResult, ...]:
        store.set_alias("colours", "champion", "3")
        return ()

    go("1")
    with pytest.raises(Conflict, match="expected to be 1 and is 3"):
        go("2", self_test=meanwhile)
    assert champion(store) == "3"
    assert len(history(store, "colours")) == 1


def test_somebody_else_promoting_is_a_conflict(store: LocalStore, go: Promote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.promotion.hold_lock", partial(hold_lock, patience_s=0.0))
    store.put_lock("colours", "key", LockRecord(owner="eve", expires_at=4e9))
    with pytest.raises(Conflict, match="locked by eve"):
        go("1")
    assert champion(store) == ""


@pytest.mark.parametrize("alias", ["latest", "v2", "a/b"])
def test_an_impossible_alias_leaves_no_event(store: LocalStore, go: Promote, alias: str) -> None:
    with pytest.raises(BadInput):
        go("1", alias=alias)
    with pytest.raises(BadInput):
        undo(store, alias=alias)
    assert history(store, "colours") == []


def test_what_is_not_there_is_not_found(store: LocalStore, go: Promote) -> None:
    with pytest.raises(NotFound):
        go("9")
    with pytest.raises(NotFound):
        rollback(store, "nobody", who="bob")
    with pytest.raises(NotFound):
        history(store, "nobody")


def test_rollback_goes_back_step_by_step_to_nobody(store: LocalStore, go: Promote) -> None:
    for version in ("1", "2", "3"):
        go(version)
    assert [undo(store).version for _ in range(3)] == ["2", "1", ""]
    assert champion(store) == ""
    with pytest.raises(BadInput, match="no promotion of 'champion' to undo"):
        undo(store)
    event = history(store, "colours")[3]
    assert (event.action, event.previous, event.who, event.version) == ("rollback", "3", "bob", "2")


def test_promotion_after_rollback_starts_from_there(store: LocalStore, go: Promote) -> None:
    go("1"), go("2"), undo(store), go("3")
    assert [undo(store).version for _ in range(2)] == ["1", ""]


def test_aliases_have_histories_of_their_own(store: LocalStore, go: Promote) -> None:
    go("1"), go("2", alias="challenger"), go("3")
    assert undo(store).version == "1"
    assert champion(store, "challenger") == "2"
    assert undo(store, alias="challenger").version == ""


def test_rollback_has_a_precondition_too(store: LocalStore, go: Promote) -> None:
    go("1"), go("2")
    with pytest.raises(Conflict, match="expected to be 1 and is 2"):
        undo(store, expected="1")
    assert undo(store, expected="2").version == "1"


def test_an_alias_moved_by_hand_is_not_undone(store: LocalStore, go: Promote) -> None:
    go("1"), go("2")
    store.set_alias("colours", "champion", "4")
    with pytest.raises(Conflict, match="is version 4, but the last promotion made it 2"):
        undo(store)
    go("3")
    assert undo(store).version == "4"
    with pytest.raises(Conflict, match="is version 4, but the last promotion made it 2"):
        undo(store)


def test_back_to_a_deleted_version_is_not_possible_and_changes_nothing(store: LocalStore, go: Promote) -> None:
    go("1"), go("2")
    shutil.rmtree(store.root / "colours" / "1")
    with pytest.raises(NotFound, match="there is no colours/1"):
        undo(store)
    assert (champion(store), len(history(store, "colours"))) == ("2", 2)


def test_back_to_a_version_that_was_replaced_is_refused(store: LocalStore, go: Promote) -> None:
    go("1"), go("2")
    reseal(store.root / "colours" / "1", {"num_examples": 1})
    with pytest.raises(Conflict, match="colours/1 is not the package that was champion before"):
        undo(store)
    assert champion(store) == "2"


def test_an_interrupted_promotion_is_as_if_it_had_not_been(
    store: LocalStore, go: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    go("1")
    interrupted(store, monkeypatch, lambda: go("2"))
    assert (champion(store), len(history(store, "colours"))) == ("1", 2)
    assert [event.version for event in effective(history(store, "colours"), "champion", "1")] == ["1"]
    go("3")
    events = history(store, "colours")
    assert never_moved(store, "colours", events) == {events[1].id}
    assert [event.version for event in effective(history(store, "colours"), "champion", "3")] == ["1", "3"]
    assert [undo(store).version for _ in range(2)] == ["1", ""]


def test_an_interrupted_promotion_can_be_repeated(
    store: LocalStore, go: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    go("1")
    interrupted(store, monkeypatch, lambda: go("2"))
    go("2")
    assert [undo(store).version for _ in range(2)] == ["1", ""]


def test_an_interrupted_rollback_is_as_if_it_had_not_been(
    store: LocalStore, go: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    go("1"), go("2")
    interrupted(store, monkeypatch, lambda: undo(store))
    assert champion(store) == "2"
    assert [undo(store).version for _ in range(2)] == ["1", ""]


def test_a_store_that_fails_half_way_reports_it(store: LocalStore, go: Promote) -> None:
    (store.root / "colours" / "aliases").write_text("a file where a folder should be")
    with pytest.raises(NotReady):
        go("1")
    assert champion(store) == ""
    (store.root / "colours" / "aliases").unlink()
    go("1")
    assert undo(store).version == ""


def test_events_stay_in_order_when_a_clock_is_behind(
    store: LocalStore, go: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    go("1"), go("2")
    monkeypatch.setattr("registry.promotion.time.time_ns", lambda: 7)
    go("3")
    assert [event.version for event in history(store, "colours")] == ["1", "2", "3"]
    assert undo(store).version == "2"


def test_a_history_that_can_not_be_read_stops_every_move(store: LocalStore, go: Promote) -> None:
    event = go("1")
    (store.root / "colours" / "events" / f"{event.id}.json").write_text("{")
    for act in (lambda: go("2"), lambda: undo(store)):
        with pytest.raises(NotReady, match="damaged"):
            act()
    assert champion(store) == "1"


def test_two_processes_racing_never_both_win(store: LocalStore, tmp_path: Path) -> None:
    cache, location = tmp_path / "cache", str(store.root)
    num_rounds, current = 12, ""
    with Racer(location, cache, "ann") as ann, Racer(location, cache, "bob") as bob:
        for index in range(num_rounds):
            rivals = [v for v in ("1", "2", "3", "4") if v != current][index % 2 : index % 2 + 2]
            ann.go(rivals[0], current)
            bob.go(rivals[1], current)
            outcomes = [ann.outcome(), bob.outcome()]
            lost = [message for kind, message in outcomes if kind == "Conflict"]
            (won,) = (kind for kind, _ in outcomes if kind in rivals)
            assert len(lost) == 1, outcomes
            assert champion(store) == won
            before, current = current, won
            assert (history(store, "colours")[-1].previous or "") == before
    events = history(store, "colours")
    assert len(events) == num_rounds
    assert effective(events, "champion", current) == events
    assert store.lock_records("colours") == {}


def test_two_who_undo_the_same_promotion_undo_it_once(
    store: LocalStore, go: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    go("1"), go("2"), go("3")
    put_lock = store.put_lock

    def slowly(name: str, key: str, record: LockRecord) -> None:
        """Between this caller's look and its lock, somebody else undoes the same promotion."""
        monkeypatch.setattr(store, "put_lock", put_lock)
        undo(store)
        put_lock(name, key, record)

    monkeypatch.setattr(store, "put_lock", slowly)
    with pytest.raises(Conflict, match="expected to be 3 and is 2"):
        undo(store)
    assert champion(store) == "2"


def test_events_are_json_for_ever(store: LocalStore, go: Promote) -> None:
    event = go("1")
    encoded = (store.root / "colours" / "events" / f"{event.id}.json").read_bytes()
    assert msgspec.json.decode(encoded, type=PromotionEvent) == event
