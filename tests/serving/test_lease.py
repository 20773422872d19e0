from __future__ import annotations

import asyncio

from serving.lease import Leased


async def test_whoever_holds_a_lease_is_waited_for() -> None:
    model = Leased()
    with model.lease(), model.lease():
        assert model.num_in_flight == 2
        waiting = asyncio.create_task(model.until_returned(60))
        await asyncio.sleep(0)
        assert not waiting.done()
    assert model.num_in_flight == 0
    await waiting


async def test_nobody_is_waited_for_longer_than_was_said() -> None:
    model = Leased()
    with model.lease():
        await model.until_returned(0)
        assert model.num_in_flight == 1


async def test_a_lease_ends_with_an_error_too() -> None:
    model = Leased()
    try:
        with model.lease():
            raise KeyError
    except KeyError:
        assert model.num_in_flight == 0
