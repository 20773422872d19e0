from __future__ import annotations

import pytest

from tasks.known_names import names_like


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("epoch", "epochs is nearest; known: batch_size, epochs"),
        ("EPOCHS_", "known: batch_size, epochs"),
        ("", "known: batch_size, epochs"),
    ],
)
def test_the_nearest_is_named_where_one_is_near(name: str, told: str) -> None:
    assert names_like(name, ("epochs", "batch_size")) == told


def test_where_there_are_none_it_says_so() -> None:
    assert names_like("epoch", ()) == "known: none"
