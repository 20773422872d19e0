"""A variant beside one of another package on each part of the held-out examples: what both know, and what was added.

A gain on one part would hide in the pooled figure what was lost on the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import stdev

import msgspec
import numpy as np
from numpy.typing import NDArray

from registry.manifest import Better, Evidence, PartEvidence, PartName, loss_of

NUM_GROUPS = 20
"""Into which a part is cut to see how much chance there is in its figures; they come in random order already."""

MIN_GROUPS = 10
"""Where a metric is no share: of fewer groups the spread itself is a matter of luck, and alarms would be false too
often (one in seven with two groups, one in twenty-five with ten, where one in forty is meant)."""

Score = Callable[[Sequence[int]], float]
"""Places of compared examples → the metric of one model on them; not a number where these can not tell it."""


def with_parts(
    evidence: Mapping[str, Evidence],
    rival: str,
    is_known: NDArray[np.bool_],
    ours: Mapping[str, Score],
    theirs: Mapping[str, Score],
) -> dict[str, Evidence]:
    """The evidence with what each variant is worth on each part of the compared examples, beside the same variant of
    the rival (a digest), or its first where it lacks that one, as promotion pairs them."""
    first, found = next(iter(theirs.values())), {}
    for name, each in evidence.items():
        parts = compare_parts(is_known, ours[name], theirs.get(name, first), each.better)
        found[name] = msgspec.structs.replace(each, parts={rival: parts} if parts else {})
    return found


def compare_parts(
    is_known: NDArray[np.bool_], ours: Score, theirs: Score, better: Better
) -> dict[PartName, PartEvidence]:
    """`is_known`: for each compared example, in their order, whether the other package's data have it. Nothing where
    all examples are of one part; a part that can not tell the metric is left out."""
    if is_known.all() or not is_known.any():
        return {}
    places: dict[PartName, NDArray[np.intp]] = {"known": np.flatnonzero(is_known), "added": np.flatnonzero(~is_known)}
    compared = {name: compare(each.tolist(), ours, theirs, better) for name, each in places.items()}
    return {name: found for name, found in compared.items() if found is not None}


def compare(places: Sequence[int], ours: Score, theirs: Score, better: Better) -> PartEvidence | None:
    """Both models on the same examples; None where these tell nothing of the metric, or are too few to tell chance."""
    variant, rival = ours(places), theirs(places)
    error = standard_error(places, ours, theirs, better)
    if not all(map(math.isfinite, (variant, rival, error))):
        return None
    return PartEvidence(num_examples=len(places), variant=variant, rival=rival, standard_error=error)


def standard_error(places: Sequence[int], ours: Score, theirs: Score, better: Better) -> float:
    """Of the loss: how far it is spread over disjoint groups of the examples (batch means), which goes for every metric
    and knows that both models answered the same ones. Not a number with less than two groups that tell it.

    Few examples may happen to agree. As Bonett & Price (2012) do with proportions, a metric that is a share counts as
    if one example more had been lost, and one more gained."""
    groups = [places[start::NUM_GROUPS] for start in range(min(NUM_GROUPS, len(places)))]
    losses = [loss_of(ours(group), theirs(group), better) for group in groups]
    known = [loss for loss in losses if math.isfinite(loss)]
    if len(known) < (2 if better == "higher" else MIN_GROUPS):
        return math.nan
    spread = stdev(known) / math.sqrt(len(known))
    return math.hypot(spread, math.sqrt(2) / (len(places) + 2)) if better == "higher" else spread
