"""Scheduler: which sequence gets which slot, and what the next step computes. Bookkeeping alone: it runs nothing.

`schedule` says what is to be run, `advance` takes in what came of it. What they cost depends on the number of slots,
never on how many requests wait.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from time import monotonic

from serving.generation.decoder import Logits, Step
from serving.generation.occupants import Occupants
from serving.generation.pace import MIN_PIECE, Pace
from serving.generation.plan import Piece, Plan, Progress, Ran
from serving.generation.scores import Scores
from serving.generation.sequence import Sequence
from serving.generation.slot_pool import Copy, SlotPool
from serving.generation.waiting_line import WaitingLine
from serving.generation.writer import Turn
from tasks.errors import NotReady, TidegateError

log = logging.getLogger(__name__)


class Scheduler:
    """Owned by the generator's thread. `line`: where sequences come from.

    Nobody waits for somebody who came later, and no slot is free while somebody waits: others use what a search
    collects until that is enough for it. Who gives a slot back then goes on later from what he has written."""

    def __init__(self, line: WaitingLine, pool: SlotPool, context: int) -> None:
        self._line, self._pool, self._context = line, pool, context
        self._pace = Pace()
        self.occupants = Occupants(pool)
        self._copies: list[Copy] = []
        self._progress = Progress()

    @property
    def is_idle(self) -> bool:
        """Whether only a new sequence could give it something to do."""
        return self.occupants.is_empty

    def schedule(self) -> Plan:
        """Let go of those that nobody waits for, give free slots to those that wait, and plan a step."""
        for sequence in self.occupants.active:
            if sequence.is_over:
                self.occupants.release(sequence)
        self._admit()
        pieces = self._plan_pieces()
        steps = [
            Step(sequence.slots[feed.place], feed.token, sequence.num_cached)
            for sequence in self.occupants.running
            for feed in sequence.feeds
        ]
        copies, self._copies = self._copies, []
        held = self._pool.held(step.slot for step in steps) if steps else {}
        return Plan(copies, list(self.occupants.running), steps, held, pieces)

    def _admit(self) -> None:
        """In order of arrival. While a search waits for slots, whoever came after it may use those that are free, and
        gives them back once that makes enough for the search: it begins as soon as if they had been kept for it."""
        while True:
            search = self.occupants.short or self._line.first_search()
            if search is not None and self._has_progressed(search):
                continue
            sequence = self._line.pop_single() if self._pool.num_free else None
            if sequence is None:
                return
            self._place(sequence)

    def _has_progressed(self, search: Sequence) -> bool:
        """Give it all slots that it lacks, or at least its first, where there is room."""
        for num_missing in (search.num_slots - len(search.slots), 1 - len(search.slots)):
            if num_missing > 0 and self._make_room(search, num_missing):
                if not search.slots:
                    self._line.remove([search])
                    self._place(search)
                    num_missing -= 1
                search.slots += [self._pool.take_any() for _ in range(num_missing)]
                self.occupants.short = None if search.has_all_slots else search
                return True
        return False

    def _make_room(self, search: Sequence, num_slots: int) -> bool:
        """Whether so many slots are free, or were until somebody got them who came after the search."""
        guests = [sequence for sequence in self.occupants.active if sequence.arrival > search.arrival]
        num_lent = num_slots - self._pool.num_free
        if num_lent > len(guests):
            return False
        for guest in sorted(guests, key=lambda guest: -guest.arrival)[: max(num_lent, 0)]:
            self._suspend(guest)
        return True

    def _suspend(self, guest: Sequence) -> None:
        """The last one of several comes first, so that nobody follows it any more."""
        if guest.leader is not None and guest in guest.leader.followers:
            guest.leader.followers.remove(guest)
        self.occupants.release(guest)
        guest.suspend()
        self._line.put_back(guest)

    def _place(self, sequence: Sequence) -> None:
        sequence.placed_at = monotonic()
        leader = sequence.leader
        if leader is not None and leader in self.occupants.filling and leader.history is sequence.history:
            sequence.slots.append(self._pool.take_any())
            leader.followers.append(sequence)
            self._count_begun(sequence)
            return
        placement = self._pool.take(sequence.history)
        sequence.slots.append(placement.slot)
        sequence.num_cached, sequence.snapshot_at = placement.num_cached, placement.snapshot_at
        self._copies += placement.copies
        self.occupants.filling.append(sequence)

    def _count_begun(self, sequence: Sequence) -> None:
        if not sequence.has_begun:
            sequence.has_begun = True
            if sequence.leader is None:
                sequence.answering.num_cached_tokens = sequence.num_cached
            self._progress.begun.append(sequence)

    def _plan_pieces(self) -> list[Piece]:
        """As much of the prompts, the first first, as a step may take."""
        pieces: list[Piece] = []
        left = self._pace.allowance(sum(sequence.is_flowing for sequence in self.occupants.running), self._context)
        for sequence in self.occupants.filling:
            if sequence.is_taken_in:
                continue
            if not sequence.has_looked_again:
                self._look_again(sequence)
            start, length = sequence.num_cached, sequence.history.length
            # Features are taken in at once, and with them a token.
            stop = min(length, max(start + left, sequence.history.num_features + 1))
            if start < sequence.snapshot_at < stop:
                stop = sequence.snapshot_at
            pieces.append(Piece(sequence, start, stop))
            left -= max(stop - start, MIN_PIECE)
            if left < MIN_PIECE:
                break
        return pieces

    def _look_again(self, sequence: Sequence) -> None:
        """Right before its first run: prompts that were ahead of it are there now."""
        sequence.has_looked_again = True
        placement = self._pool.improve(sequence.slots[0], sequence.history, sequence.num_cached)
        sequence.num_cached = placement.num_cached
        self._copies += placement.copies
        self._count_begun(sequence)

    def advance(self, plan: Plan, ran: Ran) -> Progress:
        """Take in what was computed, and say what it means for whom."""
        if isinstance(ran.logits, TidegateError):
            self.fail_all(ran.logits)
        else:
            if ran.logits is not None:
                self._pace.decoded(ran.decode_s)
                self._advance_batch(plan, Scores(ran.logits))
            for piece, outcome, seconds in zip(plan.pieces, ran.pieces, ran.prefill_s, strict=True):
                self._take_in(piece, outcome, seconds)
            self._begin_writing()
        progress, self._progress = self._progress, Progress()
        progress.num_rows, progress.ran, progress.at = len(plan.steps), ran, monotonic()
        return progress

    def fail_all(self, error: TidegateError) -> None:
        """The states of all slots are in doubt: whoever works in one gets this error."""
        for sequence in self.occupants.active:
            self._fail(sequence, error)
        self._pool.forget(range(self._pool.num_slots))
        self._copies.clear()

    def _advance_batch(self, plan: Plan, scores: Scores) -> None:
        for step in plan.steps:
            self._pool.append(step.slot, step.token)
        row = 0
        for sequence in plan.batch:
            first_row = row
            row += len(sequence.feeds)
            sequence.num_cached += 1
            self._take_turn(sequence, partial(sequence.writer.advance, scores, first_row))

    def _take_in(self, piece: Piece, outcome: Logits | TidegateError | None, seconds: float) -> None:
        sequence = piece.sequence
        if isinstance(outcome, TidegateError):
            self._pool.forget(sequence.slots)
            self._fail(sequence, outcome)
            return
        self._pace.prefilled(piece.stop - piece.start, seconds)
        self._pool.fill(sequence.slots[0], sequence.history, piece.start, piece.stop)
        sequence.num_cached = piece.stop
        if piece.stop == sequence.snapshot_at:
            self._copies += self._pool.snapshot(sequence.slots[0])
        sequence.first_logits = None if outcome is None else outcome[None]

    def _begin_writing(self) -> None:
        """Prompts that are taken in, and whose beams have their slots, become answers."""
        ready = [sequence for sequence in self.occupants.filling if sequence.is_taken_in and sequence.has_all_slots]
        for leader in ready:
            assert leader.first_logits is not None
            scores = Scores(leader.first_logits)
            for follower in leader.followers:
                self._copies.append(self._pool.copy(leader.slots[0], follower.slots[0]))
                follower.num_cached = leader.num_cached
            sequences = [leader, *leader.followers]
            leader.first_logits, leader.followers = None, []
            self.occupants.filling.remove(leader)
            self.occupants.running += sequences
            for sequence in sequences:
                self._take_turn(sequence, partial(sequence.begin, scores))

    def _take_turn(self, sequence: Sequence, write: Callable[[], Turn]) -> None:
        try:
            turn = write()
        except TidegateError as error:
            self._fail(sequence, error)
            return
        except Exception as error:
            log.exception("an answer could not be written")
            self._fail(sequence, NotReady(f"the answer could not be written: {error}"))
            return
        self._copies += [self._pool.copy(sequence.slots[a], sequence.slots[b]) for a, b in turn.copies]
        self._progress.deltas += [(sequence, delta) for delta in turn.deltas]
        sequence.feed(turn.feeds)
        if not turn.feeds:
            self.occupants.release(sequence)

    def _fail(self, sequence: Sequence, error: TidegateError) -> None:
        self._progress.failures.append((sequence, error))
        self.occupants.release(sequence)
