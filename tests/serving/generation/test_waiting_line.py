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
    assert [line.pop(), line.pop(), line.pop()] == [first, third, None]
    assert line.num_slots == 0


def test_a_thread_waits_until_there_is_something_to_do_or_never_will_be() -> None:
    line, seen = WaitingLine(), list[bool]()

    def work() -> None:
        while line.wait():
            seen.append(line.pop() is not None)

    thread = threading.Thread(target=work)
    thread.start()
    line.append([sequence(), sequence()])
    line.close()
    thread.join(10)
    assert seen == [True, True], "what waits is taken even after the line was closed"
