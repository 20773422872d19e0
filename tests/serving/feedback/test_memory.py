from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.feedback.memory import Duplicate, Expired, Memory
from tasks.errors import BadInput, NotFound


class Clock:
    """Stands still until it is told to go."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def remembering(max_answers: int = 10, max_age_s: float = 10.0) -> tuple[Memory, Clock]:
    clock = Clock()
    return Memory(max_answers, max_age_s, clock), clock


def test_an_answer_can_be_taken_once() -> None:
    memory, _ = remembering()
    memory.remember("a", 0, "1", b"said")
    found = memory.take("a", None)
    assert (found.version, found.said) == ("1", b"said")
    with pytest.raises(Duplicate):
        memory.take("a", 0)


def test_what_was_put_back_can_be_taken_again() -> None:
    memory, _ = remembering()
    memory.remember("a", 0, "1", b"said")
    memory.put_back("a", 0, memory.take("a", 0))
    assert memory.take("a", 0).said == b"said"


def test_unknown_and_expired_are_told_apart() -> None:
    memory, clock = remembering()
    memory.remember("a", 0, "1", b"said")
    clock.now = 10.1
    with pytest.raises(Expired, match="too long ago"):
        memory.take("a", 0)
    with pytest.raises(NotFound, match="not known") as raised:
        memory.take("b", 0)
    assert not isinstance(raised.value, Expired)
    assert len(memory) == 0


def test_the_newest_are_remembered() -> None:
    memory, _ = remembering(max_answers=2)
    for request_id in "abc":
        memory.remember(request_id, 0, "1", b"said")
    with pytest.raises(Expired, match="the latest 2 answers"):
        memory.take("a", 0)
    assert memory.take("b", 0).said == memory.take("c", 0).said == b"said"


def test_the_index_must_be_told_where_there_are_several() -> None:
    memory, _ = remembering()
    for index in range(2):
        memory.remember("a", index, "1", index)
    with pytest.raises(BadInput, match="index"):
        memory.take("a", None)
    assert memory.take("a", 1).said == 1
    assert memory.take("a", 0).said == 0


def test_the_same_id_again_takes_the_place_of_the_answer_before() -> None:
    memory, _ = remembering()
    memory.remember("a", 0, "1", "first")
    memory.take("a", 0)
    memory.remember("a", 0, "2", "second")
    assert memory.take("a", 0).version == "2"


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0, 3))))
def test_it_never_holds_more_or_older_than_it_may(coming: list[tuple[str, float]]) -> None:
    memory, clock = remembering(max_answers=3, max_age_s=5)
    arrived: dict[str, float] = {}
    for request_id, wait in coming:
        clock.now += wait
        memory.remember(request_id, 0, "1", request_id)
        arrived.pop(request_id, None)
        arrived[request_id] = clock.now
        assert len(memory) <= 3
    kept = [one for one in list(arrived)[-3:] if clock.now - arrived[one] <= 5]
    for request_id in arrived:
        if request_id in kept:
            assert memory.take(request_id, 0).said == request_id
        else:
            with pytest.raises(NotFound):
                memory.take(request_id, 0)
