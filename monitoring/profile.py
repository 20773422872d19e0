"""What a model's input and answers looked like on held-out data: one reference histogram per signal.

A profile is built once, at export, and travels inside the package. The server sorts live pictures into the same bins,
so that monitoring compares like with like and the counts of several replicas can simply be added.

Every histogram ends in one more bin, "other": a NaN, a class nobody knows, weights of nothing. A picture therefore adds
exactly one to each signal that it has, whatever the value, and the picture stays the unit of every test.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitoring.binning import scalar_edges
from tasks.errors import InvalidPackage
from tasks.task import Category, Observation, Scalar, SignalSpec, WeightedBins

PROFILE_SCHEMA = 1
NUM_BINS = 10
OTHER = "other"
WEIGHT_GRID = 2.0**16
"""Weights are kept as multiples of 2⁻¹⁶, so that float64 sums of them and of their squares (up to two million
pictures) are exact in any order: replicas add up to the same numbers, and a window that evicts never drifts."""

BinWeights = NDArray[np.float64]


class ReferenceHistogram(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Reference counts of one signal. `counts` has one entry per bin, "other" last.

    Scalars: bin i holds edges[i−1] ≤ value < edges[i], the outermost bins are open. Categories and weights: one bin
    per name. `squares` are the sums of squared weights, kept for weighted signals alone (a count is its own square).
    """

    kind: Literal["scalar", "category", "weighted"]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    counts: tuple[float, ...]
    squares: tuple[float, ...] = ()

    @property
    def num_bins(self) -> int:
        """Bins including "other"."""
        return (len(self.edges) + 1 if self.kind == "scalar" else len(self.categories)) + 1

    def bin_names(self) -> tuple[str, ...]:
        """A name for every bin, for labels and reports. Of classes that share a name each also gets its index."""
        if self.kind != "scalar":
            names = (*self.categories, OTHER)
            repeats = Counter(names)
            return tuple(name if repeats[name] == 1 else f"{name} ({index})" for index, name in enumerate(names))
        if not self.edges:
            return ("any value", OTHER)
        inner = (f"{low:.9g} to {high:.9g}" for low, high in pairwise(self.edges))
        return (f"below {self.edges[0]:.9g}", *inner, f"from {self.edges[-1]:.9g}", OTHER)

    def bin(self, observation: Observation) -> BinWeights:
        """Weight per bin of one picture, summing to one. The array may be shared: treat it as read-only."""
        rows = one_hot_rows(self.num_bins)
        if self.kind == "scalar":
            if not isinstance(observation, Scalar) or observation.value != observation.value:
                return rows[-1]
            return rows[bisect_right(self.edges, observation.value)]
        if self.kind == "category":
            if not isinstance(observation, Category) or not 0 <= observation.class_id < len(self.categories):
                return rows[-1]
            return rows[observation.class_id]
        if not isinstance(observation, WeightedBins):
            return rows[-1]
        return grid_weights(observation.weights, len(self.categories))


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The reference of one variant: `num_images` held-out pictures, a histogram of each signal."""

    schema: int = PROFILE_SCHEMA
    num_images: int
    signals: dict[str, ReferenceHistogram]

    def bin(self, observations: Mapping[str, Observation]) -> dict[str, BinWeights]:
        """Weight per bin of one picture, for every signal that both the profile and the picture have (a picture sent
        as a tensor, say, has no original size to speak of)."""
        signals = self.signals
        return {name: signals[name].bin(observation) for name, observation in observations.items() if name in signals}


@lru_cache(maxsize=256)
def one_hot_rows(num_bins: int) -> tuple[BinWeights, ...]:
    """The rows of the identity, shared and write-protected, because most pictures fall into one bin."""
    rows = np.eye(num_bins)
    rows.flags.writeable = False
    return tuple(rows)


def grid_weights(weights: NDArray[np.float64], num_categories: int) -> BinWeights:
    """Weights [num_categories] → [num_categories + 1] multiples of 2⁻¹⁶ that sum to one; nonsense goes to "other"."""
    given = np.asarray(weights, np.float64).ravel()
    total = given.sum() if given.size == num_categories else 0.0
    if not math.isfinite(total) or total <= 0 or given.min() < 0:
        return one_hot_rows(num_categories + 1)[-1]
    gridded = np.zeros(num_categories + 1)
    np.rint(given / total * WEIGHT_GRID, out=gridded[:-1])
    gridded[gridded.argmax()] += WEIGHT_GRID - gridded.sum()
    gridded /= WEIGHT_GRID
    return gridded


def build_profile(
    specs: Mapping[str, SignalSpec], observations: Iterable[Mapping[str, Observation]], num_bins: int = NUM_BINS
) -> Profile:
    """The profile of held-out pictures, one mapping of observations for each. Raises InvalidPackage without any."""
    pictures = list(observations)
    if not pictures:
        raise InvalidPackage("a profile needs held-out pictures, got none; several thousand make a sharp reference")
    signals = {
        name: reference_histogram(spec, [picture[name] for picture in pictures if name in picture], num_bins)
        for name, spec in specs.items()
    }
    return Profile(num_images=len(pictures), signals=signals)


def reference_histogram(
    spec: SignalSpec, observations: Sequence[Observation], num_bins: int = NUM_BINS
) -> ReferenceHistogram:
    """The histogram of one signal; the edges of a scalar are quantiles of the very values that it counts."""
    values = [o.value for o in observations if isinstance(o, Scalar)]
    edges = scalar_edges(np.array(values, np.float64), num_bins) if spec.kind == "scalar" else ()
    empty = ReferenceHistogram(kind=spec.kind, edges=edges, categories=spec.categories, counts=())
    counts, squares = np.zeros(empty.num_bins), np.zeros(empty.num_bins)
    for observation in observations:
        weights = empty.bin(observation)
        counts += weights
        squares += weights * weights
    kept_squares = tuple(squares.tolist()) if spec.kind == "weighted" else ()
    return msgspec.structs.replace(empty, counts=tuple(counts.tolist()), squares=kept_squares)


def encode_profile(profile: Profile) -> bytes:
    """JSON, the same bytes for the same profile."""
    return msgspec.json.encode(profile, order="deterministic")


def decode_profile(payload: bytes) -> Profile:
    """The inverse of `encode_profile`. Raises InvalidPackage for anything that cannot be a profile."""
    try:
        profile = msgspec.json.decode(payload, type=Profile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidPackage(f"profile: {error}") from error
    if profile.schema != PROFILE_SCHEMA:
        raise InvalidPackage(f"profile: schema {profile.schema} is unknown; this version reads {PROFILE_SCHEMA}")
    if profile.num_images < 1:
        raise InvalidPackage(f"profile: num_images must be at least 1, got {profile.num_images}")
    for name, histogram in profile.signals.items():
        check_histogram(name, histogram, profile.num_images)
    return profile


def check_histogram(name: str, histogram: ReferenceHistogram, num_images: int) -> None:
    """Raises InvalidPackage if bins, edges and counts contradict each other."""
    edges, wanted = histogram.edges, histogram.num_bins
    if any(not math.isfinite(e) for e in edges) or any(a >= b for a, b in pairwise(edges)):
        raise InvalidPackage(f"profile: edges of signal {name!r} must be finite and increasing")
    if edges if histogram.kind != "scalar" else histogram.categories:
        raise InvalidPackage(f"profile: signal {name!r} is {histogram.kind}; only scalars have edges, others names")
    if len(histogram.counts) != wanted or any(not c >= 0 for c in histogram.counts):
        raise InvalidPackage(f"profile: signal {name!r} needs {wanted} counts, none negative")
    if sum(histogram.counts) > num_images * (1 + 1e-6):
        raise InvalidPackage(f"profile: counts of signal {name!r} are more than the {num_images} pictures")
    if len(histogram.squares) != (wanted if histogram.kind == "weighted" else 0):
        raise InvalidPackage(f"profile: signal {name!r} is {histogram.kind} and has {len(histogram.squares)} squares")
    if any(not 0 <= s <= c * (1 + 1e-9) for s, c in zip(histogram.squares, histogram.counts, strict=False)):
        raise InvalidPackage(f"profile: squares of signal {name!r} must lie between 0 and its counts")
