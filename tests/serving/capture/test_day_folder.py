from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitoring.captured import Batch
from serving.capture.day_folder import BLOCK_BYTES, DayFolder

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVENING, TOMORROW = NOON + timedelta(hours=6), NOON + timedelta(days=1)


def put(root: Path, blocks: int, number: int = 1, name: str = ".0001.jpg", hidden: str = "") -> Path:
    """A file of a batch that was opened at noon; the folder's time is noon as well."""
    batch = Batch.opened("digits", NOON, "0a0b0c0d", number)
    folder = batch.folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{hidden}{batch.stem}{name}"
    file.write_bytes(bytes(blocks * BLOCK_BYTES))
    os.utime(folder, (NOON.timestamp(), NOON.timestamp()))
    return file


def names_in(day: DayFolder) -> list[str]:
    return [name for names in day.batches().values() for name in names]


def refuse(file: Path, missing_ok: bool = False) -> None:
    """As a shared volume does where a file is another user's."""
    raise PermissionError(1, "Operation not permitted", str(file))


def test_what_came_and_went_by_other_hands_is_seen(tmp_path: Path) -> None:
    file = put(tmp_path, 5)
    day = DayFolder(file.parent)
    day.look(EVENING)
    assert day.num_bytes == 5 * BLOCK_BYTES
    other = file.with_name(file.name.replace("0001.jpg", "0002.jpg"))
    other.write_bytes(bytes(BLOCK_BYTES + 1))
    day.look(EVENING)
    assert day.num_bytes == 7 * BLOCK_BYTES
    file.unlink()
    day.look(EVENING)
    assert day.num_bytes == 2 * BLOCK_BYTES


@pytest.mark.parametrize(("now", "seen"), [(NOON + timedelta(seconds=1), 7), (EVENING, 5)])
def test_only_a_folder_that_has_come_to_rest_is_not_counted_again(tmp_path: Path, now: datetime, seen: int) -> None:
    """A file may come in the same tick of the clock as the look: while things come, each look counts."""
    day = DayFolder(put(tmp_path, 5).parent)
    day.look(now)
    put(tmp_path, 2, number=2)
    day.look(now)
    assert day.num_bytes == seen * BLOCK_BYTES


def test_what_is_half_written_is_waited_for_and_cleared_away_when_stale(tmp_path: Path) -> None:
    file = put(tmp_path, 5, name=".rows.parquet", hidden=".")
    day = DayFolder(file.parent)
    day.look(NOON + timedelta(minutes=50))
    assert day.num_bytes == 5 * BLOCK_BYTES
    day.look(NOON + timedelta(minutes=70))
    assert day.num_bytes == 0
    assert not file.exists()


def test_a_folder_that_another_server_removed_holds_nothing(tmp_path: Path) -> None:
    day = DayFolder(put(tmp_path, 5).parent)
    day.look(EVENING)
    DayFolder(day.path).remove(names_in(day), TOMORROW)
    assert not day.path.exists()
    day.look(EVENING)
    assert day.num_bytes == 0
    assert day.batches() == {}


def test_what_can_not_be_removed_counts_until_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    day = DayFolder(put(tmp_path, 5).parent)
    day.look(EVENING)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        with pytest.raises(PermissionError):
            day.remove(names_in(day), EVENING)
    assert day.num_bytes == 5 * BLOCK_BYTES
    day.look(EVENING)
    assert day.num_bytes == 5 * BLOCK_BYTES
    day.remove(names_in(day), EVENING)
    assert day.num_bytes == 0


def test_after_a_removal_the_disk_is_asked_again(tmp_path: Path) -> None:
    """A volume may keep the folder's time for a while."""
    put(tmp_path, 5)
    day = DayFolder(put(tmp_path, 2, number=2).parent)
    day.look(EVENING)
    (first, second) = day.batches().values()
    day.remove(first, EVENING)
    (day.path / second[0]).write_bytes(bytes(4 * BLOCK_BYTES))
    os.utime(day.path, (NOON.timestamp(), NOON.timestamp()))
    day.look(EVENING)
    assert day.num_bytes == 4 * BLOCK_BYTES


def test_what_is_stale_and_can_not_be_cleared_away_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    day = DayFolder(put(tmp_path, 5, hidden=".").parent)
    put(tmp_path, 2, number=2)
    monkeypatch.setattr(Path, "unlink", refuse)
    day.look(EVENING)
    assert day.num_bytes == 7 * BLOCK_BYTES


def test_a_folder_that_another_server_emptied_goes_when_its_day_is_over(tmp_path: Path) -> None:
    """That one emptied it when the day was not over, or was killed before it came to the folder."""
    day = DayFolder(put(tmp_path, 5).parent)
    day.look(EVENING)
    DayFolder(day.path).remove(names_in(day), EVENING)
    afternoon = (NOON + timedelta(hours=3)).timestamp()
    os.utime(day.path, (afternoon, afternoon))
    day.look(EVENING)
    assert day.path.exists()
    day.look(TOMORROW)
    assert not day.path.exists()


def test_an_empty_folder_that_was_just_made_stays(tmp_path: Path) -> None:
    """What another server gathers at midnight is written into the folder of the day before."""
    day = DayFolder(tmp_path / "digits" / "2026-11-21")
    day.path.mkdir(parents=True)
    after_midnight = datetime(2026, 11, 22, 0, 0, 1, tzinfo=UTC)
    os.utime(day.path, (after_midnight.timestamp(), after_midnight.timestamp()))
    day.look(after_midnight + timedelta(seconds=1))
    assert day.path.exists()
