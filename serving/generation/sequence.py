"""Sequence: one sampled answer, or all beams of one search, on its way from waiting over running to finished."""

from __future__ import annotations

from collections.abc import Sequence as Ordered

from serving.generation.answering import Answering
from serving.generation.beam_search import BeamSearch
from serving.generation.decoder import Logits
from serving.generation.history import History
from serving.generation.sampled_answer import SampledAnswer
from serving.generation.scores import Scores
from serving.generation.writer import Feed, Turn, Writer
from tasks.generation import Prompt


class Sequence:
    """Waits in line without slots; takes its prompt into its first slot, piece by piece; shares what is there with its
    other slots, or with the answers that follow it; is then fed step by step until its writer has finished. In between
    it may lose its slot: it then waits again, and takes in what it had written as if that had been its prompt.

    Once it has left the line, only the generator's thread touches it.
    """

    def __init__(
        self, answering: Answering, choice: int, history: History, max_tokens: int, leader: Sequence | None
    ) -> None:
        self.answering, self.choice = answering, choice
        self.history = history
        """The prompt; after a loss of its slot also what was written until then."""
        self.arrival = 0
        """Its place in the order in which sequences came."""
        self.leader = leader
        """The answer to the same prompt whose state this one may share."""
        self.num_slots = answering.request.params.num_beams
        self.slots: list[int] = []
        self.num_cached = 0
        """Positions that each of its slots holds."""
        self.snapshot_at = 0
        """Position at which its state is worth keeping; 0: none."""
        self.has_looked_again = False
        """Whether other slots were searched for its beginning once more, right before its first run."""
        self.has_begun = False
        """Whether what was found of its prompt has been counted."""
        self.placed_at = self.last_token_at = 0.0
        self.first_logits: Logits | None = None
        """FP32 [1, vocabulary] after the prompt, until the writer begins."""
        self.followers: list[Sequence] = []
        """Answers to the same prompt that have a slot and wait for this one's state."""
        self.feeds: Ordered[Feed] = ()
        self._written: list[int] = []
        """Tokens that are not in its history."""
        self._max_tokens = max_tokens
        self._writer: Writer | None = None

    @property
    def prompt(self) -> Prompt:
        return self.answering.request.prompt

    @property
    def writer(self) -> Writer:
        """After `begin`."""
        assert self._writer is not None
        return self._writer

    def begin(self, scores: Scores) -> Turn:
        """The history is taken in, `scores` has one row: begin to write, or go on. Raises what the writer does."""
        if self._writer is not None:
            return self._writer.advance(scores, 0)
        request = self.answering.request
        if request.params.num_beams > 1:
            self._writer = BeamSearch(request, self._max_tokens)
        else:
            self._writer = SampledAnswer(request, self.choice, self._max_tokens)
        return self._writer.begin(scores)

    def feed(self, feeds: Ordered[Feed]) -> None:
        """What its writer wants to be computed next."""
        self.feeds = feeds
        if self.num_slots == 1:
            self._written += [feed.token for feed in feeds]

    def suspend(self) -> None:
        """Its slot has been taken from it."""
        if self._written:
            self.history = self.history.followed_by(self._written)
        self._written, self.slots, self.feeds = [], [], ()
        self.num_cached = self.snapshot_at = 0
        self.has_looked_again, self.first_logits = False, None

    @property
    def is_over(self) -> bool:
        """Whether nobody wants it any more."""
        return self.answering.is_over

    @property
    def is_taken_in(self) -> bool:
        """Whether its whole history is in its slot."""
        return self.first_logits is not None

    @property
    def is_flowing(self) -> bool:
        """Whether a second token has come, so that somebody would notice if the next came late. Prompts that arrive
        together become answers together, because the first of them does not flow yet."""
        return self.num_cached > self.history.length

    @property
    def has_all_slots(self) -> bool:
        return len(self.slots) == self.num_slots
