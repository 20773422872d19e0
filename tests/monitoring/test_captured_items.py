from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitoring.captured import (
    ROWS_SUFFIX,
    TIME_FORMAT,
    TRUTH_SUFFIX,
    Batch,
    CapturedRow,
    TruthRow,
    batches_in,
    is_day,
)
from monitoring.captured_items import CapturedItem, models_in, read_captured
from monitoring.parquet_rows import read_rows, write_rows
from tasks.errors import BadInput

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def row(request_id: str, at: datetime = NOON, picture: str = "", index: int = 0) -> CapturedRow:
    return CapturedRow(
        request_id, index, at, "digits", "3", "fp32", "classification", '{"top_k":5}', '{"classes":[]}', picture, "é"
    )


def write(root: Path, suffix: str, rows: list[CapturedRow] | list[TruthRow], at: datetime, number: int = 1) -> Batch:
    batch = Batch.opened("digits", at, "0a0b0c0d", number)
    folder = batch.folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / f"{batch.stem}{suffix}", rows)
    return batch


def read(root: Path, **window: datetime) -> list[CapturedItem]:
    return list(read_captured(root, "digits", **window))


def test_a_row_comes_back_as_it_was_written(tmp_path: Path) -> None:
    kept = row("a", NOON + timedelta(microseconds=1), "x.jpg")
    write_rows(tmp_path / "some.parquet", [kept, row("b")])
    assert read_rows(tmp_path / "some.parquet", CapturedRow) == [kept, row("b")]


@settings(max_examples=20)
@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**31 - 1))
def test_any_text_and_index_can_be_kept(tmp_path_factory: pytest.TempPathFactory, text: str, index: int) -> None:
    path = tmp_path_factory.mktemp("rows") / "some.parquet"
    kept = TruthRow(text, index, NOON, "1", text, "")
    write_rows(path, [kept])
    assert read_rows(path, TruthRow) == [kept]


def test_labels_find_their_rows_in_any_batch_and_the_last_one_counts(tmp_path: Path) -> None:
    write(tmp_path, ROWS_SUFFIX, [row("a"), row("a", index=1), row("b")], NOON)
    tomorrow = NOON + timedelta(days=1)
    older = TruthRow("a", 1, NOON + timedelta(hours=1), "3", '{"label": "8"}', "")
    newer = TruthRow("a", 1, tomorrow, "3", '{"label": "7"}', "")
    strange = TruthRow("never captured", 0, tomorrow, "3", "{}", "")
    write(tmp_path, TRUTH_SUFFIX, [newer, strange], tomorrow)
    write(tmp_path, TRUTH_SUFFIX, [older], tomorrow, number=2)
    assert [(one.row.request_id, one.row.index, one.truth) for one in read(tmp_path)] == [
        ("a", 0, None),
        ("a", 1, {"label": "7"}),
        ("b", 0, None),
    ]


def test_a_row_whose_picture_is_gone_is_left_out(tmp_path: Path) -> None:
    batch = write(tmp_path, ROWS_SUFFIX, [row("a", picture="1.jpg"), row("b", picture="2.jpg")], NOON)
    (batch.folder(tmp_path) / "2.jpg").write_bytes(b"picture")
    [item] = read(tmp_path)
    assert item.row.request_id == "b"
    assert item.picture is not None
    assert item.picture.read_bytes() == b"picture"


def test_a_label_whose_mask_is_gone_is_none(tmp_path: Path) -> None:
    write(tmp_path, ROWS_SUFFIX, [row("a")], NOON)
    batch = write(tmp_path, TRUTH_SUFFIX, [TruthRow("a", 0, NOON, "3", "{}", "m.png")], NOON)
    [without] = read(tmp_path)
    (batch.folder(tmp_path) / "m.png").write_bytes(b"mask")
    [with_mask] = read(tmp_path)
    assert (without.truth, without.mask) == (None, None)
    assert (with_mask.truth, with_mask.mask) == ({}, batch.folder(tmp_path) / "m.png")


def test_files_that_are_being_written_are_left_alone(tmp_path: Path) -> None:
    batch = write(tmp_path, ROWS_SUFFIX, [row("a")], NOON)
    (batch.folder(tmp_path) / f".half{ROWS_SUFFIX}").write_bytes(b"PAR1 and no more")
    assert len(read(tmp_path)) == 1


def test_a_window_of_time_is_read_also_where_a_batch_ran_over_midnight(tmp_path: Path) -> None:
    before_midnight = datetime(2026, 11, 21, 23, 59, 50, tzinfo=UTC)
    after = before_midnight + timedelta(seconds=20)
    write(tmp_path, ROWS_SUFFIX, [row("early", before_midnight), row("late", after)], before_midnight)
    midnight = datetime(2026, 11, 22, tzinfo=UTC)
    assert [one.row.request_id for one in read(tmp_path, since=midnight)] == ["late"]
    assert [one.row.request_id for one in read(tmp_path, until=midnight)] == ["early"]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    batch = write(tmp_path, ROWS_SUFFIX, [row("a")], NOON)
    path = batch.folder(tmp_path) / f"{batch.stem}{ROWS_SUFFIX}"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(BadInput, match=r"rows\.parquet does not hold captured requests"):
        read(tmp_path)
    write_rows(path, [TruthRow("a", 0, NOON, "3", "{}", "")])
    with pytest.raises(BadInput, match="with the columns request_id"):
        read(tmp_path)


def test_nothing_was_captured_yet(tmp_path: Path) -> None:
    assert read(tmp_path) == []
    assert models_in(tmp_path) == []
    with pytest.raises(BadInput, match="capture_dir"):
        models_in(tmp_path / "nowhere")


def test_a_batch_is_known_by_the_names_of_its_files(tmp_path: Path) -> None:
    batch = Batch.opened("digits", NOON, "0a0b0c0d", 7)
    folder = batch.folder(tmp_path)
    assert batches_in(folder) == {}
    folder.mkdir(parents=True)
    names = {f"{batch.stem}{ROWS_SUFFIX}", f"{batch.stem}.0001.jpg", f".{batch.stem}.mask.0001.png"}
    for name in (*names, "todo.txt", ".nfs00000000054a2f8b00000002"):
        (folder / name).touch()
    ((found, files),) = batches_in(folder).items()
    assert (found, set(files)) == (batch, names)
    assert found.opened_at == NOON
    assert is_day(folder)
    assert not is_day(folder / "todo.txt")
    assert batches_in(folder / "todo.txt") == {}


@settings(max_examples=50)
@given(st.integers(0, 10**12 - 1) | st.times().map(lambda time: int(time.strftime(TIME_FORMAT))))
@example(256199000000)
@example(235960000000)
@example(235959999999)
def test_a_name_with_no_time_of_day_is_no_batch(tmp_path_factory: pytest.TempPathFactory, digits: int) -> None:
    folder = tmp_path_factory.mktemp("digits") / "2026-11-21"
    folder.mkdir()
    (folder / f"{digits:012}-a-000001.0001.jpg").touch()
    hours, minutes, seconds = digits // 10**10, digits // 10**8 % 100, digits // 10**6 % 100
    told = [batch.opened_at.strftime(TIME_FORMAT) for batch in batches_in(folder)]
    assert told == ([f"{digits:012}"] if hours < 24 and minutes < 60 and seconds < 60 else [])
