"""Progress bars of everything in training that takes longer than two seconds, on standard error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Iterable[Item], description: str, total: int) -> Iterator[Item]:
    """Yields every item, showing how many of `total` are done and how long the rest will take."""
    from rich.console import Console
    from rich.progress import track as rich_track

    console = Console(stderr=True)
    # A log file has no use for a bar that comes and goes.
    yield from rich_track(items, description, total, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def pulse(description: str) -> Iterator[None]:
    """A bar without an end, around one call that takes seconds and does not say how far it is."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(description, total=None)
        yield
