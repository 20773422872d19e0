from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import BadInput
from training.data.problems import Problems


def test_all_problems_are_counted_and_the_first_are_shown_with_their_places() -> None:
    problems = Problems()
    for line in range(1, 51):
        problems.add(Path("labels/a.txt"), "no box", line)
    with pytest.raises(BadInput) as caught:
        problems.raise_any("yolo")
    message = str(caught.value)
    assert "50 problems" in message
    assert "labels/a.txt:1: no box" in message
    assert "labels/a.txt:20: no box" in message
    assert "labels/a.txt:21:" not in message


def test_no_problem_is_no_error() -> None:
    Problems().raise_any("yolo")
