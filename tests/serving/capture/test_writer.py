from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import serving.capture.writer as writer_module
from monitoring.captured_items import read_captured
from serving.asked import Asked
from serving.capture.day_folder import in_blocks
from serving.capture.item import CapturedAnswer, CapturedLabel, ModelFacts
from serving.capture.open_batch import suffix_of
from serving.capture.settings import CaptureSettings
from serving.capture.statistics import CaptureStatistics
from serving.capture.summary import summary_of
from serving.capture.writer import CaptureWriter
from tasks.classification import ClassificationParams, ClassificationPrediction, ClassScore
from tasks.rle import Rle
from tasks.segmentation import Segment, SegmentationPrediction
from tests.handmade import encoded

FACTS = ModelFacts("colours", "1", "fp32", "classification")
PREDICTION = ClassificationPrediction(classes=(ClassScore("red", 1, 0.9),), entropy=0.1)


def answer(request_id: str = "a", picture: bytes = b"\xff\xd8\xffpicture", **facts: str) -> CapturedAnswer:
    asked = Asked(request_id, 0, picture)
    return CapturedAnswer(FACTS._replace(**facts), asked, datetime.now(UTC), ClassificationParams(), lambda: PREDICTION)


def label(request_id: str, mask: bytes = b"") -> CapturedLabel:
    return CapturedLabel("colours", "1", request_id, 0, datetime.now(UTC), {"label": "red", "class_id": 1}, mask)


def writing(root: Path, budget_bytes: int = 10**7, hours: float = 1.0) -> tuple[CaptureWriter, CaptureStatistics]:
    statistics = CaptureStatistics()
    return CaptureWriter(CaptureSettings(root, budget_bytes, timedelta(hours=hours)), statistics), statistics


def size(root: Path) -> int:
    """On the disk."""
    return sum(in_blocks(path.stat().st_size) for path in root.rglob("*") if path.is_file())


def test_answers_and_labels_are_read_back_joined(tmp_path: Path) -> None:
    writer, statistics = writing(tmp_path)
    writer.write(answer("a", encoded(1)))
    writer.write(answer("b", encoded(2, "PNG")))
    writer.write(label("b", b"mask"))
    writer.close()
    first, second = read_captured(tmp_path, "colours")
    assert first.picture is not None
    assert first.picture.read_bytes() == encoded(1)
    assert (first.picture.suffix, first.truth) == (".jpg", None)
    assert second.row.parameters == '{"top_k":5}'
    assert '"label":"red"' in second.row.prediction
    assert second.mask is not None
    assert second.mask.read_bytes() == b"mask"
    assert second.truth == {"label": "red", "class_id": 1}
    assert statistics.outcomes == {("colours", "kept"): 3}
    assert statistics.folder_bytes == size(tmp_path)


def test_a_conversation_is_kept_as_its_messages(tmp_path: Path) -> None:
    writer, _ = writing(tmp_path)
    messages = [{"role": "user", "content": "Hello"}]
    writer.write(answer()._replace(asked=Asked("a", 0, prompt=messages)))
    writer.close()
    [item] = read_captured(tmp_path, "colours")
    assert item.row.prompt == '[{"role":"user","content":"Hello"}]'
    assert item.picture is None


def test_a_full_batch_is_finished_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "BATCH_ITEMS", 3)
    writer, _ = writing(tmp_path)
    for number in range(4):
        writer.write(answer(f"r{number}"))
    assert [one.row.request_id for one in read_captured(tmp_path, "colours")] == ["r0", "r1", "r2"]


def test_the_folder_never_holds_more_than_its_budget_and_keeps_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "BATCH_ITEMS", 2)
    writer, statistics = writing(tmp_path, budget_bytes=200_000)
    for number in range(40):
        writer.write(answer(f"r{number}", b"\xff\xd8\xff" + bytes(20_000)))
        assert size(tmp_path) <= 200_000
    writer.close()
    kept = [one.row.request_id for one in read_captured(tmp_path, "colours")]
    assert kept == [f"r{number}" for number in range(40 - len(kept), 40)]
    assert len(kept) >= 4
    assert statistics.num_removed > 0
    assert statistics.folder_bytes == size(tmp_path)


def test_what_is_larger_than_the_budget_is_counted_and_nothing_else_is_lost(tmp_path: Path) -> None:
    writer, statistics = writing(tmp_path, budget_bytes=100_000)
    writer.write(answer("small"))
    writer.write(answer("large", bytes(200_000)))
    writer.close()
    assert [one.row.request_id for one in read_captured(tmp_path, "colours")] == ["small"]
    assert statistics.outcomes == {("colours", "kept"): 1, ("colours", "failed"): 1}


def test_a_folder_that_can_not_be_written_to_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "captured"
    root.write_text("a file is in the way")
    writer, statistics = writing(root)
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            writer.write(answer())
        writer.tend()
    assert statistics.outcomes == {("colours", "failed"): 5}
    assert len(caplog.records) == 1
    assert "answers go on without" in caplog.text
    root.unlink()
    writer.write(answer("after"))
    writer.close()
    assert [one.row.request_id for one in read_captured(root, "colours")] == ["after"]


def test_a_prediction_that_can_not_be_worked_out_is_counted(tmp_path: Path) -> None:
    def conclude() -> ClassificationPrediction:
        raise RuntimeError("no")

    writer, statistics = writing(tmp_path)
    writer.write(answer()._replace(conclude=conclude))
    writer.close()
    assert statistics.outcomes == {("colours", "failed"): 1}


def test_two_servers_share_a_folder_and_its_budget(tmp_path: Path) -> None:
    one, _ = writing(tmp_path)
    one.write(answer("one", bytes(30_000)))
    one.close()
    other, _ = writing(tmp_path, budget_bytes=110_000)
    other.tend()
    other.write(answer("other", bytes(30_000)))
    other.close()
    assert {item.row.request_id for item in read_captured(tmp_path, "colours")} == {"one", "other"}
    third, _ = writing(tmp_path, budget_bytes=110_000)
    third.tend()
    third.write(answer("third", bytes(30_000)))
    third.close()
    assert size(tmp_path) <= 110_000
    assert "one" not in {item.row.request_id for item in read_captured(tmp_path, "colours")}


@pytest.mark.parametrize(("look_seconds", "pause_seconds"), [(0.0, 60.0), (1.0, 60.0), (5.0, 250.0)])
def test_a_folder_that_takes_long_to_look_at_is_looked_at_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look_seconds: float, pause_seconds: float
) -> None:
    clock, looks = [100.0], []

    def survey(*_: object) -> None:
        looks.append(clock[0])
        clock[0] += look_seconds

    monkeypatch.setattr(writer_module, "monotonic", lambda: clock[0])
    monkeypatch.setattr(writer_module.FolderBudget, "survey", survey)
    writer, _ = writing(tmp_path)
    for second in range(300):
        clock[0] = max(clock[0], 100.0 + second)
        writer.tend()
    assert looks[1] - looks[0] == pause_seconds


def test_what_is_too_old_is_removed_and_strange_files_stay(tmp_path: Path) -> None:
    long_ago = tmp_path / "colours" / "2026-01-02"
    long_ago.mkdir(parents=True)
    for name in ("030405000000-0a0b0c0d-000001.rows.parquet", "030405000000-0a0b0c0d-000001.0001.jpg"):
        (long_ago / name).write_bytes(b"old")
    other = tmp_path / "colours" / "2026-01-03"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    writer, statistics = writing(tmp_path)
    writer.write(answer("new"))
    writer.tend()
    writer.close()
    assert not long_ago.exists()
    assert (other / "notes.txt").exists()
    assert statistics.num_removed == 1
    assert len(list(read_captured(tmp_path, "colours"))) == 1


def test_what_a_killed_server_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / "colours" / (datetime.now(UTC) - timedelta(hours=30)).strftime("%Y-%m-%d")
    folder.mkdir(parents=True)
    (folder / ".030405000000-0a0b0c0d-000001.rows.parquet").write_bytes(b"PAR1")
    writer, _ = writing(tmp_path, hours=1_000)
    writer.tend()
    assert not list(folder.glob("*"))


def test_pixels_of_masks_are_left_out_of_summaries() -> None:
    segment = Segment(label="cat", class_id=1, area=0.5, confidence=0.9, rle=Rle((2, 2), "1234"))
    summary = summary_of(SegmentationPrediction(height=2, width=2, segments=(segment,), png=b"pixels"))
    assert summary == ('{"height":2,"width":2,"segments":[{"label":"cat","class_id":1,"area":0.5,"confidence":0.9}]}')


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_pictures_are_named_after_what_they_are(format: str) -> None:
    assert suffix_of(encoded(1, format)) == {"JPEG": "jpg"}.get(format, format.lower())
