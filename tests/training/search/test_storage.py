"""The database of a search: opened by many at once, and by URLs that mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import BadInput, NotReady
from tests.search_trials import open_at_once
from training.search.storage import open_storage


def test_processes_that_begin_together_all_find_the_tables(tmp_path: Path) -> None:
    assert open_at_once(f"sqlite:///{tmp_path / 'search.db'}", 6) == []


@pytest.mark.parametrize("url", ["nonsense", "sqlite:///", "postgresql+nosuchdriver://user@host/name"])
def test_a_url_that_means_nothing_is_named(url: str) -> None:
    with pytest.raises(BadInput, match="no database to keep a search in"):
        open_storage(url)


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "search.db").write_text("notes of somebody, and more of them than a header of a database is long")
    before = (tmp_path / "search.db").read_bytes()
    with pytest.raises(NotReady, match=r"can not be used: .*file is not a database"):
        open_storage(f"sqlite:///{tmp_path / 'search.db'}")
    assert (tmp_path / "search.db").read_bytes() == before
