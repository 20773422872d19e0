"""Options of the commands that can search: train and export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

SearchOption = Annotated[
    bool,
    typer.Option("--search", help="Try many values of the recipe's fields, and keep what is best; see docs/search.md."),
]
SpaceOption = Annotated[
    str | None,
    typer.Option("--space", metavar="S", help="What a search tries: a name, or a TOML file. Default: by the task."),
]
TrialsOption = Annotated[
    int | None,
    typer.Option("--trials", metavar="N", min=1, help="How many a search tries. Default: as its space says."),
]
SearchStorageOption = Annotated[
    str | None,
    typer.Option(
        "--search-storage",
        metavar="URL",
        help="A database that all machines of one search share (SQLAlchemy URL). Default: .tidegate/search.db",
    ),
]


@dataclass(frozen=True)
class SearchRequest:
    """A search as it was asked for. Empty, or 0: the default."""

    space: str
    num_trials: int
    storage_url: str


def search_request(wanted: bool, space: str | None, trials: int | None, storage: str | None) -> SearchRequest | None:
    """None where no search is wanted. Raises a usage error for options of a search that nobody asked for."""
    if wanted:
        return SearchRequest(space or "", trials or 0, storage or "")
    for option, value in (("--space", space), ("--trials", trials), ("--search-storage", storage)):
        if value is not None:
            raise typer.BadParameter(f"{option} belongs to a search: add --search, or leave it out")
    return None
