"""The scheduler of autoregressive stages: many requests, one decoder, every step with whoever is there.

Requests join and leave at each step. The event loop appends to a line; one thread takes sequences from it into the
decoder's slots and repeats: schedule → run → advance; the loop hands every caller what a step brought, with one wake-up
for all of them.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

from serving.deadline import Deadline, within
from serving.generation.answering import Answering
from serving.generation.decoder import Decoder
from serving.generation.history import History
from serving.generation.plan import Progress
from serving.generation.request import Delta, GenerationRequest
from serving.generation.request_check import check_request
from serving.generation.scheduler import Scheduler
from serving.generation.sequence import Sequence
from serving.generation.slot_pool import SlotPool
from serving.generation.statistics import GenerationStatistics
from serving.generation.step_runner import StepRunner
from serving.generation.waiting_line import WaitingLine
from serving.tracing.trace import note_stage
from tasks.errors import DeadlineExceeded, NotReady, Overloaded, TooLarge

STEP_GRACE_S = 2.0
"""For the step that is running when nobody waits for it any more."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GeneratorLimits:
    """`max_queue`: slots that all waiting requests together may ask for: `n` or `num_beams` of each."""

    max_queue: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """What there is of a request besides its answering."""

    sequences: list[Sequence]
    timer: asyncio.TimerHandle | None


class Generator:
    """Continues prompts with one decoder. All methods are called on the event loop it was built on."""

    def __init__(self, decoder: Decoder, limits: GeneratorLimits, statistics: GenerationStatistics) -> None:
        self._decoder, self._limits, self._statistics = decoder, limits, statistics
        self.loop = asyncio.get_running_loop()
        self._line = WaitingLine()
        self._pool = SlotPool(decoder.num_slots, decoder.context, decoder.can_rewind)
        self._scheduler = Scheduler(self._line, self._pool, decoder.context)
        self._runner = StepRunner(decoder)
        self._tickets: dict[Answering, Ticket] = {}
        self._num_preparing = 0
        self._mean_slot_s = 0.0
        self._busy_since = math.inf
        self._must_stop = False
        self._failure: NotReady | None = None
        self._thread = threading.Thread(target=self._serve, name="generator", daemon=True)
        self._thread.start()

    @property
    def num_waiting(self) -> int:
        """Slots that are waited for, those of prompts that are still being prepared included."""
        return self._line.num_slots + self._num_preparing

    @property
    def num_running(self) -> int:
        """Slots in use."""
        return self._pool.num_slots - self._pool.num_free

    def stalled_s(self) -> float:
        """For how long the decoder has been at its current step, or the generator has failed."""
        return max(0.0, monotonic() - self._busy_since)

    @asynccontextmanager
    async def preparing(self, num_slots: int, deadline: Deadline) -> AsyncIterator[None]:
        """Keeps places in line while a prompt is made that will ask for them; `submit` right afterwards finds them
        free. Raises as `submit` does, before anything is spent or when the deadline passes."""
        self._check_room(num_slots, deadline)
        self._num_preparing += num_slots
        try:
            async with within(deadline):
                yield
        except DeadlineExceeded:
            self._statistics.num_expired += 1
            raise
        finally:
            self._num_preparing -= num_slots

    def submit(self, request: GenerationRequest) -> Answering:
        """Put a request in line. Raises BadInput for one that this decoder can not answer, TooLarge, Overloaded,
        DeadlineExceeded or NotReady at once; what happens later is raised where the answer is read."""
        check_request(request, self._decoder)
        params = request.params
        self._check_room(params.num_slots, request.deadline)
        answering = Answering(request, params.n)
        sequences = self._sequences(answering)
        expires_at = request.deadline.expires_at
        timer = None if expires_at == math.inf else self.loop.call_at(expires_at, self._expire, answering)
        self._tickets[answering] = Ticket(sequences, timer)
        answering.add_done_callback(self._end)
        self._line.append(sequences)
        return answering

    def check_fits(self, num_slots: int) -> None:
        """Raises TooLarge for more answers and beams at once than there is ever room for: waiting would not help."""
        if num_slots > (most := self._limits.max_queue):
            raise TooLarge(f"{num_slots} answers or beams at once; the queue holds {most}: ask for fewer")

    def _check_room(self, num_slots: int, deadline: Deadline) -> None:
        if self._line.is_closed:
            raise self._failure or NotReady("this version of the model is being unloaded; send the request again")
        self.check_fits(num_slots)
        num_waiting = self.num_waiting
        if num_waiting + num_slots > self._limits.max_queue:
            self._statistics.num_refused += 1
            wait_s = num_waiting * self._mean_slot_s / self._pool.num_slots
            raise Overloaded(f"the queue is full ({num_waiting} answers wait); come back later", max(1.0, wait_s))
        if deadline.remaining_s() <= 0:
            self._statistics.num_expired += 1
            raise DeadlineExceeded("the deadline passed before the request reached the queue")

    def _sequences(self, answering: Answering) -> list[Sequence]:
        """One for a beam search, else one for each answer: the first leads, the others share its prompt."""
        request = answering.request
        history = History.of(request.prompt)
        max_tokens = min(request.params.max_tokens, self._decoder.context - history.length)
        if request.params.num_beams > 1:
            return [Sequence(answering, 0, history, max_tokens, None)]
        sequences: list[Sequence] = []
        for choice in range(request.params.n):
            sequences.append(Sequence(answering, choice, history, max_tokens, sequences[0] if choice else None))
        return sequences

    def _expire(self, answering: Answering) -> None:
        self._statistics.num_expired += 1
        answering.fail(DeadlineExceeded("the deadline passed before the answer was complete"))

    def _end(self, answering: Answering) -> None:
        """Nothing is to be computed for it any more; what still waits in line is taken out."""
        ticket = self._tickets.pop(answering)
        if ticket.timer is not None:
            ticket.timer.cancel()
        if not answering.is_answered:
            self._line.remove(ticket.sequences)
            self._statistics.num_cancelled += answering.is_cancelled

    async def close(self, timeout_s: float) -> bool:
        """Refuse what comes, answer what is there; what is not answered in time gets NotReady. False if a step has not
        returned even then: the decoder must then be left alone."""
        self._line.close()
        await asyncio.to_thread(self._thread.join, timeout_s)
        self._must_stop = True
        self._fail_all(NotReady("this version of the model has been unloaded; send the request again"))
        await asyncio.to_thread(self._thread.join, STEP_GRACE_S)
        return not self._thread.is_alive()

    def _fail_all(self, error: NotReady) -> None:
        for answering in list(self._tickets):
            self._statistics.num_failed += 1
            answering.fail(error)

    def _serve(self) -> None:
        """The generator's thread."""
        try:
            while not self._must_stop and (not self._scheduler.is_idle or self._line.wait()):
                self._step()
        except Exception as error:
            log.exception("the generator has failed and answers nothing any more")
            self._failure = NotReady(
                f"the generator of this model has failed, and the model must be loaded again: {error}"
            )
            self._busy_since = min(self._busy_since, monotonic())
            self._line.close()
            self.loop.call_soon_threadsafe(self._fail_all, self._failure)

    def _step(self) -> None:
        plan = self._scheduler.schedule()
        self._busy_since = monotonic()
        ran = self._runner.run(plan)
        progress = self._scheduler.advance(plan, ran)
        self._busy_since = math.inf
        try:
            self.loop.call_soon_threadsafe(self._deliver, progress)
        except RuntimeError:  # the loop is gone, and with it everybody who waited
            self._must_stop = True

    def _deliver(self, progress: Progress) -> None:
        """On the loop: give every caller who is still there what is new."""
        statistics, ran = self._statistics, progress.ran
        for sequence in progress.begun:
            self._count_begun(sequence)
        for sequence, delta in progress.deltas:
            if not sequence.is_over:
                self._count_delta(sequence, delta, progress.at)
                sequence.answering.receive(delta)
        for sequence, error in progress.failures:
            if not sequence.is_over:
                statistics.num_failed += 1
                sequence.answering.fail(error)
        if progress.num_rows:
            statistics.decoding.add(ran.decode_s)
            statistics.num_decoded_rows += progress.num_rows
        for seconds in ran.prefill_s:
            statistics.prefilling.add(seconds)

    def _count_begun(self, sequence: Sequence) -> None:
        statistics, answering = self._statistics, sequence.answering
        statistics.queue.observe(sequence.placed_at - answering.arrived_at)
        note_stage(answering.trace, "queue", answering.arrived_at, sequence.placed_at)
        if sequence.leader is None:
            statistics.num_prompt_tokens += sequence.prompt.length
            statistics.num_cached_tokens += answering.num_cached_tokens
            statistics.num_prefix_lookups += 1
            statistics.num_prefix_hits += answering.num_cached_tokens > 0

    def _count_delta(self, sequence: Sequence, delta: Delta, at: float) -> None:
        statistics, answering = self._statistics, sequence.answering
        if not answering.first_token_at:
            answering.first_token_at = at
            statistics.first_token.observe(at - answering.arrived_at)
            note_stage(answering.trace, "first token", sequence.placed_at, at)
        if sequence.last_token_at and delta.tokens and sequence.num_slots == 1:
            statistics.token.observe(at - sequence.last_token_at)
        sequence.last_token_at = at
        statistics.num_completion_tokens += len(delta.tokens)
        if delta.finished is not None:
            reason = delta.finished.finish_reason
            statistics.finished[reason] = statistics.finished.get(reason, 0) + 1
            held_s = at - sequence.placed_at
            note_stage(answering.trace, "generate", sequence.placed_at, at)
            self._mean_slot_s = 0.9 * self._mean_slot_s + 0.1 * held_s if self._mean_slot_s else held_s
            if answering.num_missing == 1:
                statistics.total.observe(at - answering.arrived_at)
