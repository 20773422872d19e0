"""A prompt that another server answers, read like one that is answered here."""

from __future__ import annotations

from collections.abc import AsyncIterator

from serving.generation.request import Delta, Usage
from serving.upstream.pump import Pump
from serving.upstream.visit import Visit
from tasks.errors import NotReady
from tasks.generation import Generated


class UpstreamAnswering:
    """See `serving.answer_group.Answering`. What tokens there were is not told: ids are −1."""

    def __init__(self, pump: Pump, visit: Visit) -> None:
        self._pump, self._visit = pump, visit

    @property
    def answers(self) -> list[Generated]:
        return self._visit.answers()

    @property
    def usage(self) -> Usage:
        return self._visit.usage

    def cancel(self) -> None:
        self._pump.cancel()
        self._visit.leave()

    async def __aiter__(self) -> AsyncIterator[Delta]:
        """The ends of all choices come last: only then it is known how many tokens they had."""
        try:
            async for chunk in self._pump:
                for choice in self._visit.note_piece(chunk).choices:
                    if choice.said:
                        yield Delta(choice.index, choice.said, (), (), None)
            if not self.answers:
                raise NotReady("the upstream server of this model broke off in the middle of its answer")
        except BaseException as error:
            self._pump.cancel()
            self._visit.fail(error)
            raise
        self._visit.succeed()
        for index, answer in enumerate(self.answers):
            yield Delta(index, "", (), (), answer)
