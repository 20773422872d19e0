"""The lock: one holder at a time, and none for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from registry import lock
from registry.local_store import LocalStore
from registry.lock import LockRecord, hold_lock
from tasks.errors import Conflict, NotReady

RIVAL = "rival"


@pytest.fixture
def records(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def claim(records: LocalStore, expires_in_s: float) -> None:
    records.put_lock("m", "key", LockRecord(owner=RIVAL, expires_at=time.time() + expires_in_s))


def test_a_lock_is_gone_after_use_and_after_a_failure(records: LocalStore) -> None:
    with hold_lock(records, "m", "me", 30) as held:
        held.check()
        assert [record.owner for record in records.lock_records("m").values()] == ["me"]
    with pytest.raises(ValueError, match="mine"), hold_lock(records, "m", "me", 30):
        raise ValueError("mine")
    assert records.lock_records("m") == {}


def test_a_held_lock_names_its_holder_and_leaves_nothing_behind(records: LocalStore) -> None:
    claim(records, 100)
    message = rf"'m' is locked by {RIVAL} for (99|100) s more"
    with pytest.raises(Conflict, match=message), hold_lock(records, "m", "me", 30, patience_s=0):
        pytest.fail("two hold the lock")
    assert [record.owner for record in records.lock_records("m").values()] == [RIVAL]


def test_an_expired_claim_is_swept_away(records: LocalStore) -> None:
    claim(records, -1)
    with hold_lock(records, "m", "me", 30, patience_s=0):
        assert [record.owner for record in records.lock_records("m").values()] == ["me"]


def test_a_claim_that_expires_soon_is_waited_for(records: LocalStore) -> None:
    claim(records, 0.2)
    with hold_lock(records, "m", "me", 30, patience_s=10):
        pass


def test_models_are_locked_one_by_one(records: LocalStore) -> None:
    with hold_lock(records, "m", "me", 30), hold_lock(records, "n", "me", 30, patience_s=0):
        pass


def test_who_held_it_too_long_is_told_before_the_step_that_counts(
    records: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hold_lock(records, "m", "me", 30) as held:
        later = time.time() + 31
        monkeypatch.setattr(lock.time, "time", lambda: later)
        with pytest.raises(Conflict, match="expired"):
            held.check()


def test_a_store_that_goes_away_does_not_hide_what_was_done(records: LocalStore) -> None:
    class Fading(LocalStore):
        def drop_lock(self, name: str, key: str) -> None:
            raise NotReady("gone")

    with hold_lock(Fading(records.root), "m", "me", 30):
        done = True
    assert done


def test_a_damaged_claim_is_said_to_be_one(records: LocalStore) -> None:
    claim(records, 100)
    (records.root / "m" / "locks" / "key.json").write_bytes(b'{"owner":')
    with pytest.raises(NotReady, match=r"key\.json is damaged"), hold_lock(records, "m", "me", 30):
        pytest.fail("held")


def test_eight_contenders_take_turns(records: LocalStore) -> None:
    inside, most, turns = 0, 0, 0

    def contend() -> None:
        nonlocal inside, most, turns
        for _ in range(3):
            with hold_lock(records, "m", threading.current_thread().name, 30, patience_s=60):
                inside += 1
                most = max(most, inside)
                time.sleep(0.002)
                inside -= 1
                turns += 1

    run_together([contend] * 8)
    assert (most, turns) == (1, 24)
    assert records.lock_records("m") == {}


def run_together(jobs: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
