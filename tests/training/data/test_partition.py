from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.partition import partition_indices

TARGETS = st.lists(st.integers(0, 4), min_size=1, max_size=120)


@given(TARGETS, st.floats(0.01, 0.45), st.floats(0.01, 0.45), st.integers(0, 2**32))
@settings(deadline=None)
def test_everything_is_in_exactly_one_split_in_proportion(
    targets: list[int], validation: float, test: float, seed: int
) -> None:
    parts = partition_indices(targets, {"validation": validation, "test": test}, seed)
    assert sorted(i for part in parts.values() for i in part) == list(range(len(targets)))
    totals = Counter(targets)
    for name, fraction in (("validation", validation), ("test", test)):
        drawn = Counter(targets[i] for i in parts[name])
        assert all(abs(drawn[target] - fraction * totals[target]) <= 1 for target in totals if totals[target] > 3)
    assert set(Counter(targets[i] for i in parts["train"])) == set(totals)


@given(TARGETS, st.integers(0, 2**32))
@settings(deadline=None)
def test_the_seed_decides(targets: list[int], seed: int) -> None:
    fractions = {"validation": 0.3}
    assert partition_indices(targets, fractions, seed) == partition_indices(targets, fractions, seed)
