from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

import serving.capture.capture_check as check_module
from serving.asked import Asked
from serving.capture.capture import MAX_QUEUED, MAX_QUEUED_BYTES, Capture
from serving.capture.capture_check import check_capture
from serving.capture.item import CapturedAnswer, CapturedLabel, ModelFacts
from serving.capture.statistics import CaptureStatistics
from serving.config_sources import load_config
from tasks.classification import ClassificationParams, ClassificationPrediction
from tasks.errors import InvalidRecipe


class SlowWriter:
    """Writes nothing before it is let."""

    def __init__(self) -> None:
        self.may_write, self.written, self.is_closed = threading.Event(), 0, False

    def write(self, item: CapturedAnswer | CapturedLabel) -> None:
        self.may_write.wait(10)
        self.written += 1

    def tend(self) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True


def answer(num_bytes: int = 1) -> CapturedAnswer:
    prediction = ClassificationPrediction(classes=(), entropy=0.0)
    facts = ModelFacts("colours", "1", "fp32", "classification")
    asked = Asked("a", 0, bytes(num_bytes))
    return CapturedAnswer(facts, asked, datetime.now(UTC), ClassificationParams(), lambda: prediction)


@pytest.mark.parametrize(("num_bytes", "most"), [(1, MAX_QUEUED), (MAX_QUEUED_BYTES // 4, 4)])
def test_what_the_queue_has_no_room_for_is_dropped_and_counted(num_bytes: int, most: int) -> None:
    writer, statistics = SlowWriter(), CaptureStatistics()
    capture = Capture(1.0, writer, statistics)
    one = answer(num_bytes)
    for _ in range(most + 10):
        capture.offer(one)
    dropped = statistics.outcomes["colours", "dropped"]
    writer.may_write.set()
    capture.close()
    assert 9 <= dropped <= 10  # one may have left the queue before
    assert writer.written == most + 10 - dropped
    assert writer.is_closed


@pytest.mark.parametrize(("share", "least", "most"), [(1.0, 1000, 1000), (0.5, 400, 600), (0.0, 0, 0)])
def test_the_share_is_kept(share: float, least: int, most: int) -> None:
    capture = Capture(share, SlowWriter(), CaptureStatistics())
    assert least <= sum(capture.wants() for _ in range(1000)) <= most
    capture.close()


def test_capture_needs_a_folder_and_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRecipe, match="capture_dir is empty"):
        load_config({"TIDEGATE_CAPTURE_SHARE": "0.1"}, {})
    assert load_config({"TIDEGATE_CAPTURE_SHARE": "0.1", "TIDEGATE_CAPTURE_DIR": "x"}, {}).capture_share == 0.1
    monkeypatch.setattr(check_module, "find_spec", lambda name: None)
    check_capture(0.0, "")
    with pytest.raises(InvalidRecipe, match=r"pip install 'tidegate\[capture\]'"):
        check_capture(0.1, "x")
