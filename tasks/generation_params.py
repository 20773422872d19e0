"""What a caller may ask of a generator: length, sampling, penalties, ends, constraints, beams."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from tasks.task import Params

MAX_STOPS, MAX_STOP_CHARACTERS = 16, 256
MAX_CHOICES, MAX_BEAMS, MAX_TOP_LOGPROBS = 16, 16, 20
MAX_BIASED_TOKENS = 1024
MAX_BIAS = 100
"""OpenAI's. Logits lie so much closer together that this forbids a token, or all others."""
MAX_SEED = 2**63 - 1
ANY_SEED = -1
"""Asks for no seed, as it does at vLLM and llama.cpp, whose clients send it for "random"."""

Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
Bias = Annotated[float, msgspec.Meta(ge=-MAX_BIAS, le=MAX_BIAS)]
TokenId = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Default = Literal[
    "max_tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "num_beams", "length_penalty"
]
"""The parameters that a model may prefer a value of."""


class GenerationParams(Params, frozen=True, kw_only=True):
    """Validated against each other too: `__post_init__` raises ValueError, which msgspec reports as a bad field.

    The order in which logits are changed: bias, penalties, temperature, top_k, top_p, min_p. Log-probabilities are
    those of the model before any of it.
    """

    max_tokens: Annotated[int, msgspec.Meta(ge=1)] = 64
    """How many tokens at most; the context may end it sooner."""
    temperature: Annotated[float, msgspec.Meta(ge=0, le=5)] = 1.0
    """0 always takes the best token."""
    top_k: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Only the k best tokens; 0 = all."""
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    """Only the best tokens that together have this probability (Holtzman et al., 2020)."""
    min_p: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """Only tokens that have this share of the best token's probability (Nguyen et al., 2024)."""
    repetition_penalty: Annotated[float, msgspec.Meta(gt=0, le=10)] = 1.0
    """Divides positive and multiplies negative logits of tokens in prompt and answer (Keskar et al., 2019)."""
    presence_penalty: Penalty = 0.0
    """Taken from the logit of each token that the answer has already."""
    frequency_penalty: Penalty = 0.0
    """The same, once for each time that the answer has it."""
    seed: Annotated[int, msgspec.Meta(ge=-MAX_SEED - 1, le=MAX_SEED)] | None = None
    """The same seed gives the same text, whatever else is in the batch. Any 64 bits with a sign, as in OpenAI's API;
    −1 becomes None, and other negative ones the number that is left without the bit of their sign."""
    logit_bias: Annotated[dict[TokenId, Bias], msgspec.Meta(max_length=MAX_BIASED_TOKENS)] = msgspec.field(
        default_factory=dict
    )
    """Token → what is added to its logit."""
    logprobs: Annotated[int, msgspec.Meta(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    """Log-probabilities of the chosen tokens and of this many best ones at each place; None = none at all."""
    stop: Annotated[tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_STOP_CHARACTERS)], ...],
                    msgspec.Meta(max_length=MAX_STOPS)] = ()  # fmt: skip
    """The answer ends before the first of these texts."""
    ignore_end: bool = False
    """Go on when the model says that it has finished."""
    n: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHOICES)] = 1
    """How many answers: independent samples, or the best of the beams."""
    num_beams: Annotated[int, msgspec.Meta(ge=1, le=MAX_BEAMS)] = 1
    """Above 1: beam search, which samples nothing."""
    length_penalty: Annotated[float, msgspec.Meta(ge=-5, le=5)] = 1.0
    """Beams are ranked by log-probability ÷ length ** length_penalty."""
    json_schema: str = ""
    """The answer is JSON that this schema allows."""
    regex: str = ""
    """The answer as a whole matches this."""

    def __post_init__(self) -> None:
        if self.seed is not None and self.seed < 0:
            # Generators of random numbers are seeded by numbers without a sign.
            msgspec.structs.force_setattr(self, "seed", None if self.seed == ANY_SEED else self.seed & MAX_SEED)
        if self.num_beams > 1 and self.n > self.num_beams:
            raise ValueError(
                f"n ({self.n}) must not be above num_beams ({self.num_beams}): it asks for the best of them"
            )
        if self.num_beams > 1 and self._samples:
            raise ValueError(
                "num_beams searches and samples nothing: leave out temperature, top_k, top_p, min_p and seed"
            )
        if self.json_schema and self.regex:
            raise ValueError("json_schema and regex exclude each other: leave one of them out")

    @property
    def _samples(self) -> bool:
        """Whether anything says how to draw. A temperature of 1 says nothing, and one of 0 not to."""
        shaped = self.temperature not in (0, 1) or self.top_k > 0 or self.top_p < 1 or self.min_p > 0
        return shaped or self.seed is not None

    @property
    def is_constrained(self) -> bool:
        """Whether not every text will do."""
        return bool(self.json_schema or self.regex)

    @property
    def num_slots(self) -> int:
        """Answers or beams that are worked on side by side."""
        return self.num_beams if self.num_beams > 1 else self.n

    @property
    def is_greedy(self) -> bool:
        """Whether the best token is always taken."""
        return self.temperature == 0 or self.top_k == 1
