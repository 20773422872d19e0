"""A network of each kind with its data, for all tests of this folder, and a cache that ends with the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from export.compress.learning import Learning
from tests.tiny_learning import learning_of
from training.data.cache import CACHE_VARIABLE
from training.recipe import TaskName


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder))
        yield folder


@pytest.fixture(scope="session")
def learnings(cache_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[TaskName], Learning]:
    """Task → all that it takes for a tiny network to learn on. Its network is shared: change copies of it."""

    @cache
    def open_learning(task: TaskName) -> Learning:
        return learning_of(task, tmp_path_factory.mktemp("texts"))

    return open_learning
