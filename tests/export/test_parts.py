"""Two models on each part of the held-out examples: figures worked out by hand, and how much of them is chance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from export.parts import Score, compare, compare_parts, standard_error, with_parts
from registry.manifest import Better, Evidence

HALVES = np.arange(200) < 120
HIGHER: Better = "higher"


def mean_of(worths: Sequence[float]) -> Score:
    """The metric of a model that is worth so much on each example."""
    return lambda places: float(np.mean([worths[place] for place in places])) if places else math.nan


def test_a_gain_on_one_part_hides_no_loss_on_the_other() -> None:
    theirs = [1.0] * 120 + [0.0] * 80
    ours = [1.0] * 90 + [0.0] * 30 + [1.0] * 60 + [0.0] * 20
    parts = compare_parts(HALVES, mean_of(ours), mean_of(theirs), HIGHER)
    known, added = parts["known"], parts["added"]
    assert (known.num_examples, known.rival, known.variant) == (120, 1.0, 0.75)
    assert (added.num_examples, added.rival, added.variant) == (80, 0.0, 0.75)
    assert 0.25 - 4 * known.standard_error > 0, "a quarter of 120 is no chance"


@pytest.mark.parametrize("known", [np.ones(200, bool), np.zeros(200, bool)])
def test_a_single_part_is_the_whole(known: np.ndarray) -> None:
    assert compare_parts(known, mean_of([1.0] * 200), mean_of([1.0] * 200), HIGHER) == {}


def test_a_part_that_tells_nothing_is_left_out() -> None:
    def half_blind(places: Sequence[int]) -> float:
        return math.nan if places[0] >= 120 else 0.5

    assert set(compare_parts(HALVES, half_blind, half_blind, HIGHER)) == {"known"}
    single = np.arange(200) != 7
    assert set(compare_parts(single, mean_of([1.0] * 200), mean_of([0.5] * 200), HIGHER)) == {"known"}


def test_chance_is_what_pairs_leave_of_it() -> None:
    """The standard error of a mean of paired differences, which groups only estimate."""
    rng = np.random.default_rng(0)
    places = range(4000)
    easy = rng.random(4000)
    ours, theirs = easy + rng.normal(0, 0.1, 4000), easy + rng.normal(0, 0.1, 4000)
    found = standard_error([*places], mean_of(ours.tolist()), mean_of(theirs.tolist()), HIGHER)
    assert found == pytest.approx(np.hypot((ours - theirs).std() / math.sqrt(4000), math.sqrt(2) / 4002), rel=0.4)
    assert found < 0.5 * easy.std() * math.sqrt(2 / 4000), "what both find hard is no noise"


def test_few_examples_that_agree_prove_little() -> None:
    assert standard_error(range(3), mean_of([0.0] * 3), mean_of([1.0] * 3), HIGHER) > 0.25
    assert standard_error(range(400), mean_of([0.0] * 400), mean_of([1.0] * 400), HIGHER) < 0.01


def test_few_passages_tell_no_chance_of_bits() -> None:
    """A metric without an end has no spread of its own to fall back on."""
    rng = np.random.default_rng(0)
    ours, theirs = (mean_of((2 + rng.normal(0, 0.1, 12)).tolist()) for _ in range(2))
    assert compare(range(9), ours, theirs, "lower") is None
    assert compare(range(12), ours, theirs, "lower") is not None
    assert compare(range(9), ours, theirs, HIGHER) is not None


def test_bits_are_compared_as_ratios() -> None:
    parts = compare_parts(HALVES, mean_of([2.2] * 200), mean_of([2.0] * 200), "lower")
    assert parts["known"].standard_error == pytest.approx(0.0, abs=1e-9)
    assert parts["known"].variant == pytest.approx(2.2)


def test_a_variant_that_the_rival_lacks_stands_beside_its_first() -> None:
    evidence = Evidence(
        metric="accuracy", num_examples=200, metrics={}, per_class=(), latency_ms={}, num_bytes=1, gates=()
    )
    ours = {"fp32": mean_of([1.0] * 200), "int8": mean_of([0.9] * 200)}
    theirs = {"fp16": mean_of([0.8] * 200), "int8": mean_of([0.7] * 200)}
    found = with_parts({"fp32": evidence, "int8": evidence}, "0" * 64, HALVES, ours, theirs)
    assert {name: round(each.parts["0" * 64]["added"].rival, 6) for name, each in found.items()} == {
        "fp32": 0.8,
        "int8": 0.7,
    }
