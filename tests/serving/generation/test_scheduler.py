"""The scheduler by itself: no decoder and no threads, only plans."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from serving.generation.answering import Answering
from serving.generation.history import History
from serving.generation.pace import Pace
from serving.generation.plan import Plan, Ran
from serving.generation.scheduler import Scheduler
from serving.generation.sequence import Sequence
from serving.generation.slot_pool import SlotPool
from serving.generation.waiting_line import WaitingLine
from tasks.generation import Prompt
from tests.serving.generation.bench import request

CONTEXT = 100


class Table:
    """A scheduler whose plans are looked at, and computed by nobody."""

    def __init__(self, num_slots: int) -> None:
        self.line, self.num_active = WaitingLine(), 0
        self.scheduler = Scheduler(self.line, SlotPool(num_slots, CONTEXT, True), CONTEXT)

    def ask(self, num_tokens: int, token: int = 1, features: int = 0, **params: Any) -> Answering:
        rows = np.zeros((features, 2), np.float32) if features else None
        asked = request(Prompt((token,) * num_tokens, rows), temperature=0, ignore_end=True, **params)
        answering, history = Answering(asked, asked.params.n), History.of(asked.prompt)
        leader = None
        for choice in range(1 if asked.params.num_beams > 1 else asked.params.n):
            sequence = Sequence(answering, choice, history, asked.params.max_tokens, leader)
            leader = leader or sequence
            self.line.append([sequence])
        return answering

    def step(self) -> Plan:
        """As if every run had given the same logits."""
        plan = self.scheduler.schedule()
        self.num_active = len(self.scheduler.occupants.active)
        logits = np.linspace(0, 1, 16, dtype=np.float32)
        ran = Ran(logits=np.tile(logits, (len(plan.steps), 1)) if plan.steps else None)
        ran.pieces = [logits if piece.is_last else None for piece in plan.pieces]
        ran.prefill_s = [0.01] * len(plan.pieces)
        self.scheduler.advance(plan, ran)
        return plan


def lengths(plan: Plan) -> list[int]:
    return [piece.stop - piece.start for piece in plan.pieces]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight tokens of prompts a step while answers flow."""
    monkeypatch.setattr(Pace, "allowance", lambda _, num_flowing, most: 8 if num_flowing else most)


@pytest.mark.usefixtures("slow")
def test_a_long_prompt_does_not_hold_up_who_is_running() -> None:
    table = Table(2)
    table.ask(4, max_tokens=50)
    assert [lengths(table.step()) for _ in range(2)] == [[4], []]
    table.ask(50, token=2)
    plans = [table.step() for _ in range(7)]
    assert all(len(plan.steps) == 1 for plan in plans), "the first is taken further in every step"
    assert [lengths(plan) for plan in plans] == [[8]] * 6 + [[2]]
    assert len(table.step().steps) == 2


@pytest.mark.usefixtures("slow")
def test_short_prompts_do_not_wait_for_a_step_of_their_own() -> None:
    table = Table(4)
    table.ask(4, token=1, max_tokens=50)
    table.step()
    table.step()
    for token in (2, 3, 4):
        table.ask(3, token=token)
    assert lengths(table.step()) == [3], "each costs as much as eight tokens do"
    table = Table(4)
    for token in (1, 2, 3):
        table.ask(3, token=token)
    assert lengths(table.step()) == [3, 3, 3], "nobody is running"


@pytest.mark.usefixtures("slow")
def test_prompts_that_come_together_become_answers_together() -> None:
    table = Table(4)
    table.ask(20)
    table.step()
    for token in (2, 3, 4):
        table.ask(20, token=token)
    assert lengths(table.step()) == [20, 20, 20], "the first has said one token, and nothing flows yet"
    assert len(table.step().steps) == 4


@pytest.mark.usefixtures("slow")
def test_features_come_at_once_and_with_a_token() -> None:
    table = Table(2)
    table.ask(4, max_tokens=50)
    table.step()
    table.step()
    table.ask(12, features=20)
    plans = [table.step() for _ in range(3)]
    first = plans[0].pieces[0]
    assert first.features is not None
    assert len(first.features) == 20
    assert [[(len(piece.tokens), piece.features is None) for piece in plan.pieces] for plan in plans] == [
        [(1, False)],
        [(8, True)],
        [(3, True)],
    ]


def test_no_slot_is_idle_while_somebody_waits() -> None:
    table = Table(3)
    for number in range(9):
        table.ask(2, token=1 + number, max_tokens=1 + number % 3)
    while table.line.num_slots:
        table.step()
        assert table.num_active == 3


def test_a_search_takes_in_its_prompt_while_it_waits_for_slots() -> None:
    table = Table(3)
    table.ask(2, max_tokens=4)
    table.step()
    table.ask(2, token=2, num_beams=3, max_tokens=3)
    plan = table.step()
    assert lengths(plan) == [2]
    assert len(plan.steps) == 1
    while len(plan.steps) < 3:
        plan = table.step()
        assert plan.pieces == []
    assert len({step.slot for step in plan.steps}) == 3


def slots_until_a_search_begins(num_late: int) -> list[int]:
    """Two requests run, a search over all four slots comes, then some others → slots at work in each step until all
    beams have theirs."""
    table = Table(4)
    for number in range(2):
        table.ask(4, token=1 + number, max_tokens=20 + 10 * number)
    table.step()
    search = table.ask(4, token=3, num_beams=4, max_tokens=3)
    for number in range(num_late):
        table.ask(4, token=4 + number % 10, max_tokens=6)
    plans = [table.step()]
    while not any(sequence.answering is search for sequence in plans[-1].batch):
        plans.append(table.step())
    assert {sequence.answering for sequence in plans[-1].batch} == {search}
    return [len(plan.steps) + len(plan.pieces) for plan in plans]


def test_a_search_begins_no_later_for_those_who_use_the_slots_it_waits_for() -> None:
    alone, together = slots_until_a_search_begins(0), slots_until_a_search_begins(30)
    assert len(together) == len(alone)
    assert set(alone[1:-2]) == {1, 2}
    assert set(together[1:-2]) == {3}, "all but the one that holds the prompt of the search"


def test_who_gave_a_slot_back_goes_on_after_the_search_and_before_later_ones() -> None:
    table = Table(3)
    table.ask(4, token=1, max_tokens=5)
    table.step()
    search = table.ask(4, token=2, num_beams=3, max_tokens=3)
    guest, *later = [table.ask(4, token=3 + number, max_tokens=30) for number in range(4)]
    plans = [table.step() for _ in range(100)]
    taken_in = [piece.sequence.answering for plan in plans for piece in plan.pieces]
    assert taken_in == [search, guest, guest, *later]
    running = [[sequence.answering for sequence in plan.batch] for plan in plans]
    assert [search] in running, "alone"
    assert sum(guest in batch for batch in running) == 30 - 2, "a token more came of each time it was taken in"


def test_searches_keep_their_order_too() -> None:
    table = Table(2)
    table.ask(4, token=1, max_tokens=5)
    table.step()
    asked = [table.ask(4, token=2 + number, num_beams=1 + number % 2, max_tokens=3) for number in (1, 2, 3, 4, 5)]
    first: dict[Answering, int] = {}
    for number in range(60):
        for sequence in table.step().batch:
            first.setdefault(sequence.answering, number)
    searches = [answering for answering in asked if answering.request.params.num_beams > 1]
    assert [first[answering] for answering in searches] == sorted(first[answering] for answering in searches)
    assert first.keys() >= set(asked)


def test_choices_that_find_no_slot_at_first_find_the_prompt_later() -> None:
    table = Table(2)
    table.ask(40, n=4, max_tokens=3)
    plans = [table.step() for _ in range(8)]
    assert sum(sum(lengths(plan)) for plan in plans) == 42, "the third and fourth took in the last token alone"


def test_who_left_is_computed_no_further() -> None:
    async def left() -> list[int]:
        table = Table(2)
        first = table.ask(2, max_tokens=50)
        table.ask(2, token=2, max_tokens=50)
        table.step()
        before = len(table.step().steps)
        first.cancel()
        return [before, len(table.step().steps)]

    assert asyncio.run(left()) == [2, 1]


class Untouchable(WaitingLine):
    """Lets nobody look at more than the first in line."""

    num_looks = 0

    def pop_single(self) -> Sequence | None:
        self.num_looks += 1
        return super().pop_single()


def test_a_step_does_not_look_at_those_who_wait() -> None:
    table = Table(2)
    line = Untouchable()
    table.line, table.scheduler = line, Scheduler(line, SlotPool(2, CONTEXT, True), CONTEXT)
    for number in range(300):
        table.ask(2, token=1 + number % 15, max_tokens=20)
    table.step()
    for _ in range(18):
        table.step()
    assert line.num_looks == 2
