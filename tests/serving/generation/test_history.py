from __future__ import annotations

import numpy as np

from serving.generation.history import FEATURE, History
from tasks.generation import Prompt


def test_features_take_positions_before_the_tokens() -> None:
    history = History.of(Prompt((5, 6), np.zeros((3, 2), np.float32)))
    assert history.tokens.tolist() == [FEATURE] * 3 + [5, 6]
    assert (history.length, history.num_features) == (5, 3)


def test_pictures_are_told_apart_by_what_they_are_not_by_where_they_lie() -> None:
    picture = np.arange(12, dtype=np.float32).reshape(6, 2)
    same, other = picture.copy(), picture + 1
    digests = [History.of(Prompt((1,), each)).digest for each in (picture, same, other, picture[::2])]
    assert digests[0] == digests[1]
    assert len({*digests, History.of(Prompt((1,))).digest}) == 4


def test_what_was_written_stands_behind_the_prompt() -> None:
    history = History.of(Prompt((5,), np.zeros((2, 2), np.float32)))
    longer = history.followed_by([7, 8])
    assert longer.tokens.tolist() == [FEATURE, FEATURE, 5, 7, 8]
    assert (longer.digest, longer.num_features, history.length) == (history.digest, 2, 3)
