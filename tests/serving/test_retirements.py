from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from serving.retirements import Retirements
from serving.served import Served


class Leaving:
    """A model that is freed when the test says so."""

    def __init__(self, digest: str) -> None:
        self.package: Any = SimpleNamespace(digest=digest) if digest else None
        self.may_end, self.grace_s = asyncio.Event(), -1.0

    async def retire(self, grace_s: float) -> None:
        self.grace_s = grace_s
        await self.may_end.wait()


async def test_files_of_what_is_leaving_are_in_use_until_it_is_freed() -> None:
    retirements, models = Retirements(), [Leaving("a"), Leaving("b"), Leaving("")]
    for grace_s, model in enumerate(models):
        retirements.begin(cast(Served, model), grace_s)
    await asyncio.sleep(0)
    assert [model.grace_s for model in models] == [0, 1, 2]
    assert (len(retirements), retirements.digests()) == (3, {"a", "b"})
    models[0].may_end.set()
    waiting = asyncio.create_task(retirements.all_done())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    assert retirements.digests() == {"b"}
    for model in models:
        model.may_end.set()
    await waiting
    assert not retirements
