"""What happened to the requests of one generator, as plain numbers: the sibling of `serving/statistics.py`.

Only the event loop writes here; a scrape reads whatever is there. How many run and wait at the moment the generator
itself knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from serving.statistics import Histogram, Tally, stage
from tasks.generation import FinishReason


@dataclass
class GenerationStatistics:
    """One model version. Times in seconds."""

    num_slots: int
    queue: Histogram = field(default_factory=stage)
    """Arrival → a slot, per answer (all beams of a search are one)."""
    first_token: Histogram = field(default_factory=stage)
    """Arrival → the first token, per request; of a beam search, which shows nothing before its end, → the answer."""
    token: Histogram = field(default_factory=stage)
    """From one token of a sampled answer to the next."""
    total: Histogram = field(default_factory=stage)
    """Arrival → the last token, per request that was answered."""
    num_prompt_tokens: int = 0
    """Positions of prompts that were begun, features included, each request once."""
    num_cached_tokens: int = 0
    """Of them, those that another request had left in a slot."""
    num_completion_tokens: int = 0
    """Tokens of answers, also of those that nobody waited for to the end."""
    num_prefix_lookups: int = 0
    num_prefix_hits: int = 0
    """Requests that found a part of their prompt in a slot."""
    finished: dict[FinishReason, int] = field(default_factory=dict)
    """Answers by what ended them."""
    decoding: Tally = field(default_factory=Tally)
    """Runs that took sequences one token further."""
    prefilling: Tally = field(default_factory=Tally)
    """Runs that took in a piece of a prompt."""
    num_decoded_rows: int = 0
    """Rows of all decoding runs: ÷ (decoding runs × slots) is how full they were."""
    num_cancelled: int = 0
    """Requests whose caller left before the end."""
    num_expired: int = 0
    num_refused: int = 0
    num_failed: int = 0
    """Requests that the runtime, a constraint or broken logits ended."""

    @property
    def slot_occupancy(self) -> float:
        """Share of the slots that an average decoding run took further: 0 … 1."""
        places = self.decoding.count * self.num_slots
        return self.num_decoded_rows / places if places else 0.0
