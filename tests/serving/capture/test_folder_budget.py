from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitoring.captured import Batch
from serving.capture.day_folder import BLOCK_BYTES
from serving.capture.folder_budget import FolderBudget
from serving.capture.statistics import CaptureStatistics

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def put(root: Path, at: datetime, blocks: int = 1, model: str = "digits", writer: str = "0a0b0c0d") -> Batch:
    """A batch of one file."""
    batch = Batch.opened(model, at, writer, 1)
    batch.folder(root).mkdir(parents=True, exist_ok=True)
    (batch.folder(root) / f"{batch.stem}.rows.parquet").write_bytes(bytes(blocks * BLOCK_BYTES))
    return batch


def budget_of(root: Path, blocks: float, days: float = 30) -> tuple[FolderBudget, CaptureStatistics]:
    statistics = CaptureStatistics()
    budget = FolderBudget(root, int(blocks * BLOCK_BYTES), timedelta(days=days), statistics)
    budget.survey(NOON, set())
    return budget, statistics


def left(root: Path) -> list[str]:
    return sorted(f"{path.parts[-3]} {path.parts[-2]} {path.name[:6]}" for path in root.rglob("*.parquet"))


def test_the_oldest_of_all_models_goes_first(tmp_path: Path) -> None:
    put(tmp_path, NOON - DAY)
    put(tmp_path, NOON - 2 * DAY, model="signs")
    put(tmp_path, NOON - 2 * DAY - timedelta(hours=1))
    put(tmp_path, NOON)
    budget, _ = budget_of(tmp_path, 4.5)
    assert budget.make_room(1, NOON, set())
    assert left(tmp_path) == ["digits 2026-11-20 120000", "digits 2026-11-21 120000", "signs 2026-11-19 120000"]
    assert budget.make_room(2 * BLOCK_BYTES, NOON, set())
    assert left(tmp_path) == ["digits 2026-11-20 120000", "digits 2026-11-21 120000"]


def test_no_room_is_made_by_what_can_not_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted", str(file))

    folder = put(tmp_path, NOON - DAY, blocks=4).folder(tmp_path)
    os.utime(folder, ((NOON - DAY).timestamp(),) * 2)
    budget, statistics = budget_of(tmp_path, 4.5)
    monkeypatch.setattr(Path, "unlink", refuse)
    for minutes in range(3):
        with pytest.raises(PermissionError, match=r"rows\.parquet"):
            budget.make_room(BLOCK_BYTES, NOON, set())
        budget.survey(NOON + timedelta(minutes=minutes), set())
        assert statistics.folder_bytes == 4 * BLOCK_BYTES


@pytest.fixture
def one_that_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The oldest batch, of another user."""
    batch = put(tmp_path, NOON - 40 * DAY)
    file = batch.folder(tmp_path) / f"{batch.stem}.rows.parquet"
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == file:
            raise PermissionError(1, "Operation not permitted", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    return file


def test_what_can_not_be_removed_keeps_nothing_else_beyond_its_time(tmp_path: Path, one_that_stays: Path) -> None:
    put(tmp_path, NOON - 35 * DAY)
    put(tmp_path, NOON)
    with pytest.raises(PermissionError, match=r"rows\.parquet"):
        budget_of(tmp_path, 100)
    assert left(tmp_path) == ["digits 2026-10-12 120000", "digits 2026-11-21 120000"]


def test_room_is_made_beside_what_can_not_be_removed(tmp_path: Path, one_that_stays: Path) -> None:
    put(tmp_path, NOON - DAY)
    put(tmp_path, NOON)
    budget, statistics = budget_of(tmp_path, 3.5, days=100)
    assert budget.make_room(BLOCK_BYTES, NOON, set())
    assert left(tmp_path) == ["digits 2026-10-12 120000", "digits 2026-11-21 120000"]
    assert statistics.folder_bytes == 2 * BLOCK_BYTES
    with pytest.raises(PermissionError, match=r"rows\.parquet"):
        budget.make_room(3 * BLOCK_BYTES, NOON, set())


def test_room_that_another_server_made_is_not_made_twice(tmp_path: Path) -> None:
    for hours in range(8):
        put(tmp_path, NOON - timedelta(hours=hours))
    (one, of_one), (other, of_other) = (budget_of(tmp_path, 8.5) for _ in range(2))
    assert one.make_room(3 * BLOCK_BYTES, NOON, set())
    kept = left(tmp_path)
    assert other.make_room(BLOCK_BYTES, NOON, set())
    assert left(tmp_path) == kept
    assert (of_one.num_removed, of_other.num_removed) == (8 - len(kept), 0)


def test_what_another_server_wrote_is_seen_at_the_next_look(tmp_path: Path) -> None:
    budget, statistics = budget_of(tmp_path, 10)
    put(tmp_path, NOON, writer="0e0f0a0b")
    budget.survey(NOON, set())
    assert statistics.folder_bytes == BLOCK_BYTES


def test_batches_that_are_gathered_stay(tmp_path: Path) -> None:
    open_batch = put(tmp_path, NOON - DAY)
    put(tmp_path, NOON)
    budget, _ = budget_of(tmp_path, 2.5)
    budget.wrote(open_batch, 0)
    assert budget.make_room(BLOCK_BYTES, NOON, {open_batch})
    assert left(tmp_path) == ["digits 2026-11-20 120000"]
    assert not budget.make_room(2 * BLOCK_BYTES, NOON, {open_batch})
    budget.survey(NOON + 60 * DAY, {open_batch})
    assert left(tmp_path) == ["digits 2026-11-20 120000"]


@pytest.mark.parametrize("days", [0.5, 1.5])
def test_what_is_older_than_the_retention_goes_to_the_hour(tmp_path: Path, days: float) -> None:
    for hours in (0, 11, 13, 35, 37, 900):
        put(tmp_path, NOON - timedelta(hours=hours))
    _, statistics = budget_of(tmp_path, 100, days)
    assert len(left(tmp_path)) == {0.5: 2, 1.5: 4}[days]
    assert statistics.folder_bytes == BLOCK_BYTES * len(left(tmp_path))


def test_files_of_somebody_else_stay_and_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "digits" / "2026-01-01").mkdir(parents=True)
    no_time = "digits/2026-01-01/.256199000000-a-000001.jpg"
    for place in ("digits/2026-01-01/notes.txt", no_time, "digits/2026-01-02", "digits/readme"):
        (tmp_path / place).write_text("mine")
    _, statistics = budget_of(tmp_path, 10)
    assert statistics.folder_bytes == 0
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 4
