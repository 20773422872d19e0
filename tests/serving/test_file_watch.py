from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from serving.file_watch import FileWatch


@asynccontextmanager
async def watching(*paths: Path) -> AsyncIterator[Callable[[], int]]:
    """How many changes were told so far, as of a look that began after the question."""
    told: list[bool] = []
    watch = FileWatch(paths, lambda: told.append(threading.current_thread() is threading.main_thread()), 0.01)
    watch.start()
    yield lambda: len(told)
    await watch.stop()
    assert not any(told), "a slow disk must not hold up the event loop"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (nobody announces it)
            await asyncio.sleep(0.005)


def write(path: Path) -> None:
    with path.open("a") as file:
        file.write("more")


def replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    os.replace(other, path)


def make_readable(path: Path) -> None:
    path.chmod(0o640)


@pytest.mark.parametrize("change", [write, replace, make_readable, Path.unlink])
async def test_every_change_of_any_file_is_told_once(tmp_path: Path, change: Callable[[Path], None]) -> None:
    paths = [tmp_path / "one", tmp_path / "two"]
    for path in paths:
        path.write_text("before")
    async with watching(*paths) as num_told:
        await asyncio.sleep(0.05)
        assert num_told() == 0
        change(paths[1])
        await until(lambda: num_told() == 1)
        await asyncio.sleep(0.05)
        assert num_told() == 1


async def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys.toml").write_text(name)
    (tmp_path / "data").symlink_to("old")
    async with watching(tmp_path / "data" / "keys.toml") as num_told:
        (tmp_path / "next").symlink_to("new")
        os.replace(tmp_path / "next", tmp_path / "data")
        await until(lambda: num_told() == 1)


async def test_a_failure_does_not_end_the_watch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, calls = tmp_path / "file", [0]

    def fail() -> None:
        calls[0] += 1
        raise RuntimeError("of the reader")

    watch = FileWatch((path,), fail, 0.01)
    watch.start()
    for number in (1, 2):
        write(path)
        await until(lambda number=number: calls[0] == number)  # type: ignore[misc]
    await watch.stop()
    assert "can not be watched" in caplog.text
