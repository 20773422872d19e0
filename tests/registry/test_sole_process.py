"""A lock that one process holds on a folder, also where there are none to hold."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from registry.lock import Locked
from registry.sole_process import sole_process
from tasks.errors import NotReady
from tests.forks import forked


def test_a_second_process_is_told_who_is_at_it(tmp_path: Path) -> None:
    def second() -> None:
        with pytest.raises(Locked, match="'digits' is being retrained in another process"):
            sole_process(tmp_path / "plan.lock", "'digits' is being retrained").__enter__()

    with sole_process(tmp_path / "plan.lock", "'digits' is being retrained"):
        assert forked(second) == [0]


def test_a_volume_without_locks_is_said_to_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    message = rf"plan\.lock can not be locked \(No locks available\): .* keep {tmp_path} on a local volume"
    with pytest.raises(NotReady, match=message), sole_process(tmp_path / "plan.lock", "'digits' is being retrained"):
        pytest.fail("two may be at it")
