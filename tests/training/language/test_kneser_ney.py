from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.language.kneser_ney import BITS, END, NUM_SYMBOLS, ORDER, KneserNey, estimate_discounts, pack_texts

TEXTS = st.lists(st.binary(max_size=30) | st.text("abc ", max_size=40).map(str.encode), min_size=1, max_size=6)


class PlainKneserNey:
    """The same by the book: dictionaries of tuples, one probability at a time."""

    def __init__(self, texts: list[bytes]) -> None:
        counts: Counter[tuple[int, ...]] = Counter(gram for text in texts for gram in grams_of(text))
        self.counts = {ORDER: counts}
        for order in range(ORDER - 1, 0, -1):
            self.counts[order] = Counter(gram[1:] for gram in self.counts[order + 1])
        self.discounts = {n: estimate_discounts(np.array(list(found.values()))) for n, found in self.counts.items()}
        self.after: dict[int, dict[tuple[int, ...], list[int]]] = {n: defaultdict(list) for n in self.counts}
        for order, found in self.counts.items():
            for gram, count in found.items():
                self.after[order][gram[:-1]].append(count)

    def probability(self, gram: tuple[int, ...]) -> float:
        if not gram:
            return 1 / NUM_SYMBOLS
        order = len(gram)
        lower = self.probability(gram[1:])
        if gram[:-1] not in self.after[order]:
            return lower
        known = self.after[order][gram[:-1]]
        discount = self.discounts[order]
        count = self.counts[order].get(gram, 0)
        handed_out = sum(discount[min(each, 3)] for each in known)
        return float((count - discount[min(count, 3)] + handed_out * lower) / sum(known))


def grams_of(text: bytes) -> list[tuple[int, ...]]:
    symbols = [END] * (ORDER - 1) + list(text) + [END]
    return [tuple(symbols[i : i + ORDER]) for i in range(len(text) + 1)]


@given(TEXTS, TEXTS)
@settings(max_examples=60, deadline=None)
def test_it_agrees_with_the_definition(learnt: list[bytes], judged: list[bytes]) -> None:
    plain = PlainKneserNey(learnt)
    expected = [plain.probability(gram) for text in judged for gram in grams_of(text)]
    np.testing.assert_allclose(KneserNey.fit(learnt).probabilities(pack_texts(judged)), expected, rtol=1e-9)


@given(TEXTS, st.lists(st.sampled_from([0, 97, 98, 32, 255, END]), min_size=4, max_size=4))
@settings(max_examples=60, deadline=None)
def test_probabilities_after_any_history_sum_to_one(learnt: list[bytes], history: list[int]) -> None:
    packed = 0
    for symbol in history:
        packed = (packed << BITS) | symbol
    every = (packed << BITS) | np.arange(NUM_SYMBOLS, dtype=np.int64)
    found = KneserNey.fit(learnt).probabilities(every)
    assert found.min() > 0
    assert found.sum() == pytest.approx(1)


def test_what_was_seen_often_costs_little_and_the_end_is_paid_for() -> None:
    model = KneserNey.fit([b"the cat sat on the mat. "] * 20)
    assert model.bits_per_byte([b"the cat sat on the mat. "]) < 0.2
    assert model.bits_per_byte([b"\x00\x01\x02\x03"]) > 8
    text = b"the cat sat"
    bits = -np.log2(model.probabilities(pack_texts([text])))
    assert len(bits) == len(text) + 1
    assert model.bits_per_byte([text]) == pytest.approx(bits.sum() / len(text))


def test_a_model_of_one_byte_is_nearly_uniform_elsewhere() -> None:
    bits = KneserNey.fit([b"a"]).bits_per_byte([b"z" * 100])
    assert bits == pytest.approx(math.log2(NUM_SYMBOLS), abs=2)
