from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.generation.history import History
from serving.generation.slot_pool import Placement, SlotPool
from tasks.generation import Prompt

LONG = [7] * 40


def history(tokens: list[int], picture: float | None = None) -> History:
    return History.of(Prompt(tuple(tokens), None if picture is None else np.full((4, 2), picture, np.float32)))


def run(pool: SlotPool, tokens: list[int]) -> Placement:
    """Take a prompt in, and let go of its slot."""
    placement = pool.take(history(tokens))
    pool.fill(placement.slot, history(tokens), placement.num_cached, len(tokens))
    pool.release([placement.slot])
    return placement


def test_slots_in_use_stay_close_together() -> None:
    pool = SlotPool(8, 64, True)
    assert [pool.take(history([number])).slot for number in range(4)] == [0, 1, 2, 3]
    pool.release([0, 2, 3])
    assert pool.take(history([9])).slot in (0, 2), "beside the one that runs in slot 1"
    assert pool.take_any() in (0, 2, 3)


def test_who_comes_alone_begins_where_the_prompt_is() -> None:
    pool = SlotPool(4, 64, True)
    run(pool, [1] * 30)
    assert run(pool, LONG).slot == 1, "an empty slot is filled before anything is forgotten"
    placement = pool.take(history([*LONG, 3]))
    assert placement == Placement(1, 40, [])


def test_a_beginning_is_copied_from_a_slot_that_runs() -> None:
    pool = SlotPool(4, 64, True)
    busy = pool.take(history(LONG))
    pool.fill(busy.slot, history(LONG), 0, 40)
    placement = pool.take(history([*LONG[:30], 1, 2]))
    assert placement.num_cached == 30
    assert placement.copies == [(busy.slot, placement.slot)]


def test_a_slot_that_was_taken_early_looks_again() -> None:
    pool = SlotPool(4, 64, True)
    first, second = pool.take(history(LONG)), pool.take(history(LONG))
    assert second.num_cached == 0
    pool.fill(first.slot, history(LONG), 0, 40)
    improved = pool.improve(second.slot, history(LONG), 0)
    assert (improved.num_cached, improved.copies) == (39, [(first.slot, second.slot)])


def test_the_last_token_is_always_computed() -> None:
    pool = SlotPool(2, 64, True)
    run(pool, LONG)
    assert pool.take(history(LONG)).num_cached == 39


def test_another_picture_shares_nothing() -> None:
    pool = SlotPool(1, 64, True)
    first = pool.take(history(LONG, 1.0))
    pool.fill(first.slot, history(LONG, 1.0), 0, 44)
    pool.release([0])
    assert pool.take(history(LONG, 2.0)).num_cached == 0
    pool.fill(0, history(LONG, 2.0), 0, 44)
    pool.release([0])
    assert pool.take(history(LONG, 2.0)).num_cached == 43


def test_what_was_of_no_use_for_longest_is_forgotten_first() -> None:
    pool = SlotPool(3, 64, True)
    prompts = [[number] * 40 for number in range(4)]
    for prompt in prompts[:3]:
        run(pool, prompt)
    assert run(pool, [*prompts[0], 9]).num_cached == 40
    run(pool, prompts[3])
    assert run(pool, [*prompts[0], 8]).num_cached == 40
    assert run(pool, [*prompts[2], 8]).num_cached == 40
    assert run(pool, [*prompts[1], 8]).num_cached == 0


def test_what_a_neighbour_remembers_is_kept_elsewhere() -> None:
    pool = SlotPool(4, 64, True)
    run(pool, LONG)
    run(pool, [2] * 40)
    busy = pool.take(history([*LONG, 1]))
    assert busy.slot == 0
    beside = pool.take(history([3] * 40))
    assert beside.slot == 1
    assert beside.copies == [(1, 2)], "to an empty slot"
    assert pool.take(history([*[2] * 40, 1])).num_cached == 40


def test_a_recurrent_state_is_used_as_it_is_or_not_at_all() -> None:
    pool = SlotPool(4, 64, False)
    assert run(pool, LONG).snapshot_at == 0
    parting = pool.take(history([*LONG[:30], 1]))
    assert (parting.num_cached, parting.snapshot_at) == (0, 30)
    pool.fill(parting.slot, history([*LONG[:30], 1]), 0, 30)
    assert len(pool.snapshot(parting.slot)) == 1
    pool.release([parting.slot])
    assert pool.take(history([*LONG[:30], 2])).num_cached == 30


def test_what_is_in_doubt_is_forgotten() -> None:
    pool = SlotPool(2, 64, True)
    run(pool, LONG)
    pool.forget(range(2))
    assert pool.take(history(LONG)).num_cached == 0
    assert pool.held([]) == {}


@settings(max_examples=200)
@given(
    st.booleans(),
    st.lists(
        st.tuples(
            st.sampled_from([[1] * 20, [1] * 40, [2] * 20, []]), st.lists(st.integers(1, 3), min_size=1, max_size=5)
        ),
        max_size=20,
    ),
    st.data(),
)
def test_every_slot_holds_what_it_is_said_to_hold(
    can_rewind: bool, prompts: list[tuple[list[int], list[int]]], data: st.DataObject
) -> None:
    """Placements and copies, carried out on plain lists: the cached part of a slot is the beginning of its prompt."""
    pool = SlotPool(3, 64, can_rewind)
    states: list[list[int]] = [[], [], []]
    busy: list[int] = []
    for beginning, ending in prompts:
        tokens = beginning + ending
        if busy and (len(busy) == 3 or data.draw(st.booleans())):
            slot = busy.pop(data.draw(st.integers(0, len(busy) - 1)))
            pool.release([slot])
        placement = pool.take(history(tokens))
        assert placement.slot not in busy
        for source, target in placement.copies:
            assert target not in busy
            states[target] = list(states[source])
        state = states[placement.slot]
        assert state[: placement.num_cached] == tokens[: placement.num_cached]
        assert placement.num_cached < len(tokens)
        assert can_rewind or len(state) == placement.num_cached or placement.num_cached == 0
        states[placement.slot] = list(tokens)
        pool.fill(placement.slot, history(tokens), placement.num_cached, len(tokens))
        busy.append(placement.slot)
        for slot in busy:
            assert pool.held(set(range(3)) - {slot})[slot] == len(states[slot])
