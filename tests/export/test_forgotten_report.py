"""The sentences that a user reads about what a variant forgot."""

from __future__ import annotations

from export.forgotten_report import format_forgotten, sheet_title
from tests.populations import forgotten_of

CAT, DOG = "cat", "dog"
TRUTHS = [CAT] * 4 + [DOG] * 4


def test_sentence_names_the_classes_that_lost_most_with_their_range() -> None:
    found = forgotten_of(TRUTHS, TRUTHS, [DOG, DOG, CAT, CAT, *[DOG] * 4], [DOG, CAT, CAT, CAT, *[DOG] * 3, CAT])
    _, line = format_forgotten({"int8": found}).splitlines()
    assert line == (
        "int8: 1 of 8 answers changed, by 2 seeds; lost most: cat -37.50 points (-25.00 to -50.00), "
        "dog -12.50 points (+0.00 to -25.00); calibration error 5.00 % → 15.00 %"
    )


def test_one_seed_has_no_range_and_a_gain_is_no_loss() -> None:
    found = forgotten_of(TRUTHS, [DOG, *TRUTHS[1:]], TRUTHS)
    assert (
        format_forgotten({"fp32": found})
        .splitlines()[1]
        .startswith("fp32: 1 of 8 answers changed; no class lost anything; calibration")
    )


def test_sheet_says_whose_it_is() -> None:
    first, second = sheet_title("pets", "int8", forgotten_of(TRUTHS, TRUTHS, [DOG, *TRUTHS[1:]]))
    assert first == "int8 of pets: 1 of 8 answers changed, worst first"
    assert second.startswith("lost most: cat -25.00 points;")
