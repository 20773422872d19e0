from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.captioning.caption_metrics import caption_metrics, split_words

SENTENCES = ["a 3 at the left and a 7 at the right", "an 8 in the middle", "two digits: a 5 and a 2; the 5 is larger"]


def test_what_is_said_letter_for_letter_has_full_marks() -> None:
    figures = caption_metrics(SENTENCES, [[each] for each in SENTENCES])
    assert figures == pytest.approx({"exact_match": 1.0, "bleu_4": 1.0, "rouge_l": 1.0, "cider": 10.0}, abs=1e-6)


def test_any_of_several_references_may_be_met() -> None:
    figures = caption_metrics(SENTENCES[:2], [["something else", SENTENCES[0]], ["another"]])
    assert figures["exact_match"] == 0.5


def test_scores_fall_with_every_wrong_word() -> None:
    right = [[each] for each in SENTENCES]
    nearly = caption_metrics([SENTENCES[0].replace("7", "1"), *SENTENCES[1:]], right)
    hardly = caption_metrics(["a 9", *SENTENCES[1:]], right)
    for name in ("bleu_4", "rouge_l", "cider"):
        assert 1 > nearly[name] > hardly[name] if name != "cider" else 10 > nearly[name] > hardly[name]


def test_the_published_example_of_the_scorers() -> None:
    """Unigrams 5 of 6, bigrams 3 of 5, trigrams 1 of 4, no run of four: BLEU-4 is as good as nothing."""
    figures = caption_metrics(["the cat sat on the mat", "x y"], [["the cat is on the mat"], ["y z"]])
    assert figures["bleu_4"] < 1e-3
    assert figures["rouge_l"] == pytest.approx((5 / 6 + 1 / 2) / 2, abs=1e-6)


@given(st.text())
def test_words_survive_being_cut_twice(text: str) -> None:
    assert split_words(split_words(text)) == split_words(text)


def test_captions_without_a_word_are_scored_too() -> None:
    figures = caption_metrics(["", "…"], [["a cat"], ["a dog"]])
    assert figures["exact_match"] == 0
    assert figures["rouge_l"] == 0
