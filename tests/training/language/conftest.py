"""A corpus for all tests of a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_corpus import write_texts


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_texts(folder, 60)
    return folder
