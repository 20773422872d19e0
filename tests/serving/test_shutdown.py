from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from serving.shutdown import KILLED, wait_for, wait_for_thread

HANGING = """
import logging, threading
from serving.shutdown import end_within
logging.basicConfig()
threading.Thread(target=threading.Event().wait).start()  # no daemon: Python waits for it
end_within(0.1)
"""

MUTE = """
import os
os.set_blocking(2, False)
try:
    while True:
        os.write(2, bytes(4096))
except BlockingIOError:
    os.set_blocking(2, True)
"""
"""Its stderr is a pipe that is full, which nobody reads."""


async def work(error: Exception | None = None) -> None:
    await asyncio.sleep(0)
    if error is not None:
        raise error


async def test_what_is_done_in_time_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    await wait_for("work", work(), 10)
    await wait_for_thread("work", done.set, 10)
    assert done.is_set()
    assert not caplog.records


async def test_what_fails_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise OSError("no space left")

    with pytest.raises(KeyError):
        await wait_for("work", work(KeyError()), 10)
    with pytest.raises(OSError, match="no space left"):
        await wait_for_thread("work", fail, 10)


async def test_what_takes_too_long_is_left_and_said(caplog: pytest.LogCaptureFixture) -> None:
    never, may_end = asyncio.Event(), threading.Event()
    await wait_for("answering", never.wait(), 0.05)
    await wait_for_thread("capture", lambda: may_end.wait() and None, 0.05)
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "stopping: answering took longer than 0.05 s and is left as it is",
        "stopping: capture took longer than 0.05 s and is left as it is",
    ]
    may_end.set()


def test_a_process_that_does_not_end_by_itself_is_ended() -> None:
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == KILLED
    assert "stopping took longer than 0.1 s: this process ends now" in done.stderr


def test_a_process_that_can_not_even_say_so_is_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", MUTE + HANGING], stderr=subprocess.PIPE) as mute:
        try:
            assert mute.wait(60) == KILLED
        finally:
            mute.kill()
