from __future__ import annotations

import threading

from serving.generation.answering import Answering
from serving.generation.history import History
from serving.generation.sequence import Sequence
from serving.generation.waiting_line import WaitingLine
from tests.serving.generation.bench import request


def sequence(num_beams: int = 1) -> Sequence:
    asked = request(num_beams=num_beams)
    return Sequence(Answering(asked, 1), 0, History.of(asked.prompt), 4, None)


def test_who_came_first_is_first_and_who_left_is_gone() -> None:
    line = WaitingLine()
    first, second, third = sequence(), sequence(num_beams=3), sequence()
    line.append([first, second, third])
    assert line.num_slots == 5
    assert line.remove([second]) == 1
    assert line.remove([second]) == 0
    assert line.num_slots == 2
    assert [line.pop_single(), line.pop_single(), line.pop_single()] == [first, third, None]
    assert line.num_slots == 0


def test_a_search_has_its_turn_when_nobody_came_before_it() -> None:
    line = WaitingLine()
    first, search, last = sequence(), sequence(num_beams=3), sequence()
    line.append([first, search, last])
    assert line.first_search() is None
    assert line.pop_single() is first
    assert line.first_search() is line.first_search() is search
    assert line.pop_single() is last
    line.put_back(last)
    line.put_back(first)
    assert line.first_search() is None
    assert line.num_slots == 5
    assert [line.pop_single(), line.pop_single()] == [first, last]


def test_a_thread_waits_until_there_is_something_to_do_or_never_will_be() -> None:
    line, seen = WaitingLine(), list[bool]()

    def work() -> None:
        while line.wait():
            seen.append(line.pop_single() is not None)

    thread = threading.Thread(target=work)
    thread.start()
    line.append([sequence(), sequence()])
    line.close()
    thread.join(10)
    assert seen == [True, True], "what waits is taken even after the line was closed"
