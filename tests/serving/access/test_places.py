"""Places are taken, given back, and refused beyond their number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from serving.access.places import Places
from tasks.errors import Overloaded


class Context:
    """Of a gRPC call, as far as it says when that is over."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[Any], None]] = []

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self.callbacks.append(callback)

    def end(self) -> None:
        for callback in self.callbacks:
            callback(self)


def test_one_too_many_is_told_what_to_do() -> None:
    places = Places(2, "watches")
    too_many = pytest.raises(Overloaded, match="there may be 2 watches at once: bring a key")
    with places.one(), places.one(), too_many, places.one():
        pass
    with places.one(), places.one():
        pass  # both were given back


def test_a_place_is_given_back_when_its_call_is_over() -> None:
    places, first, second = Places(1, "calls"), Context(), Context()
    places.keep_for(first)
    with pytest.raises(Overloaded):
        places.keep_for(second)
    assert not second.callbacks  # who got none gives none back
    first.end()
    places.keep_for(second)


def test_a_place_is_given_back_after_an_error() -> None:
    places = Places(1, "calls")
    with pytest.raises(KeyError), places.one():
        raise KeyError
    with places.one():
        pass
