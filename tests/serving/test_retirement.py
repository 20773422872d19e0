from __future__ import annotations

import logging

import pytest

from serving.retirement import close_both, close_remote


class Queue:
    """Closes at once, or not at all."""

    def __init__(self, *, hangs: bool) -> None:
        self.hangs = hangs

    async def close(self, timeout_s: float) -> bool:
        return not self.hangs


@pytest.mark.parametrize("hangs", [False, True])
async def test_memory_that_a_run_may_still_use_is_not_freed(hangs: bool, caplog: pytest.LogCaptureFixture) -> None:
    freed = []
    with caplog.at_level(logging.ERROR):
        await close_both(Queue(hangs=hangs), lambda: freed.append(1), "the runtime of tiny/1")
    assert freed == ([] if hangs else [1])
    assert [record.getMessage() for record in caplog.records] == (
        ["the runtime of tiny/1 hangs; its memory stays taken"] if hangs else []
    )


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_runtime_elsewhere_is_closed_whatever_it_is_at(hangs: bool, caplog: pytest.LogCaptureFixture) -> None:
    freed = []
    with caplog.at_level(logging.WARNING):
        await close_remote(Queue(hangs=hangs), lambda: freed.append(1), "the runtime of tiny/1")
    assert freed == [1]
    assert [record.getMessage() for record in caplog.records] == (
        ["the runtime of tiny/1 is closed while it still works on something"] if hangs else []
    )
