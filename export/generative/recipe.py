"""A recipe for models that generate: which variants are built, how much data proves them, what each may lose."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from export.compress.steps import Steps
from export.section import Count, Positive, Section, Share


class GenerativeTolerances(Section, frozen=True, kw_only=True):
    """What a variant may lose against the trained model. Limits that are not set do not become gates."""

    max_bits_per_byte_increase: Share
    """On held-out text, as a share of the trained model's: 0.01 = one hundredth more."""
    min_decision_agreement: Share
    """Share of held-out tokens at which its best token is that of the trained model."""
    max_exact_match_drop: Share | None = None
    """Of captions: share that are right to the letter, less than of the trained model's own."""
    max_cider_drop: Positive | None = None
    """Of captions, as it is published: 10 for captions that are all right."""
    max_class_drop: Share | None = None
    """Of the share of right tokens of any class (they are classes of tokens, from the commonest to the rarest): missed
    only when the whole 95 % interval of the loss lies beyond."""
    class_drops: dict[str, Share] = msgspec.field(default_factory=dict)
    """Class → its own limit instead of that one."""
    max_calibration_increase: Share | None = None
    """Of the expected calibration error of the next token."""
    max_changed_share: Share | None = None
    """Of prompts that most seeds continue otherwise than the trained model."""
    max_relative_difference: Positive | None = None
    """Of any logit after a prompt, in standard deviations of the logits between prompts."""
    max_num_bytes: Count | None = None
    max_latency_ms: Positive | None = None
    """Median single-thread time of one token at batch 1 on the exporting host."""

    def class_limit(self, label: str) -> float | None:
        """What one class may lose; None for no limit."""
        return self.class_drops.get(label, self.max_class_drop)


class GenerativeVariant(Section, frozen=True, kw_only=True):
    """One variant: the float32 graph where it has no `steps`. That one must continue prompts exactly as the trained
    model does."""

    steps: Steps = ()
    tolerances: GenerativeTolerances


class GenerativeRecipe(Section, frozen=True, kw_only=True):
    """One export. The counts are upper limits: smaller data sets are used whole."""

    protocol: Literal["generative"]
    """Tells these recipes from those of models that answer at once."""
    description: str = ""
    variants: dict[str, GenerativeVariant]
    num_verify: Count = 400
    """Held-out passages on which every variant is held against the trained model."""
    passage_tokens: Count = 512
    """Length of a passage, prompt and answer together, at most: a longer context costs time and proves little more."""
    num_continuations: Count = 200
    """Of them, those whose prompts are continued greedily and compared token for token."""
    continuation_tokens: Count = 48
    num_seeds: Count = 3
    """How often variants with steps that are drawn by chance are made, each time from another seed. The first is the
    one that is packaged; the others only show what such a variant forgets."""
    num_profile: Count = 1_000
    """Prompts that are answered for the reference profile."""
    num_golden: Count = 16
    golden_tokens: Count = 16
    """Length of the golden continuations, at most."""
    slots: tuple[Count, ...] = (1, 2, 4, 8)
    """Numbers of requests that a server may answer at once; it takes the largest where nobody says otherwise."""
    latency_seconds: Positive = 1.0
    """Time spent on measuring each variant at each batch size."""
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0
    """Decides which passages are drawn, and what the profile's answers say."""
