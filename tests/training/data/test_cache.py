from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from training.data.cache import CACHE_VARIABLE, cache_key, cached_folder


def test_several_that_want_the_same_folder_build_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    built: list[Path] = []

    def build(folder: Path) -> None:
        folder.mkdir()
        built.append(folder)
        (folder / "done").touch()

    with ThreadPoolExecutor(8) as pool:
        folders = set(pool.map(lambda _: cached_folder("kind", "key", "done", build), range(8)))
    assert folders == {tmp_path / "kind" / "key"}
    assert len(built) == 1


def test_a_failed_build_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))

    def fail(folder: Path) -> None:
        folder.mkdir()
        raise RuntimeError

    def build(folder: Path) -> None:
        (folder / "done").touch()

    with pytest.raises(RuntimeError):
        cached_folder("kind", "key", "done", fail)
    assert (cached_folder("kind", "key", "done", build) / "done").is_file()


def test_different_facts_have_different_keys() -> None:
    assert cache_key("a", 1) == cache_key("a", 1)
    assert len({cache_key("a", 1), cache_key("a", 2), cache_key("a1"), cache_key("a", "1")}) == 4
