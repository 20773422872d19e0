"""A sequence whose items are made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, overload

Raw = TypeVar("Raw")
Made = TypeVar("Made")


class LazySequence(Sequence[Made], Generic[Raw, Made]):
    """`make` of every item of `raw`; nothing is kept."""

    def __init__(self, raw: Sequence[Raw], make: Callable[[Raw], Made]) -> None:
        self._raw = raw
        self._make = make

    def __len__(self) -> int:
        return len(self._raw)

    @overload
    def __getitem__(self, index: int) -> Made: ...

    @overload
    def __getitem__(self, index: slice) -> list[Made]: ...

    def __getitem__(self, index: int | slice) -> Made | list[Made]:
        if isinstance(index, slice):
            return [self._make(item) for item in self._raw[index]]
        return self._make(self._raw[index])
