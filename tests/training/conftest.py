"""A cache that ends with the test session, the smallest recipe that trains, and a corpus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tiny_corpus import write_texts
from training.data.cache import CACHE_VARIABLE
from training.recipe import Recipe, parse_recipe


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder))
        yield folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty short texts of a small language."""
    folder = tmp_path_factory.mktemp("corpus")
    write_texts(folder, 60)
    return folder


@pytest.fixture
def tiny_recipe() -> Recipe:
    """Two epochs over a fraction of the plain scans, in a network of a few thousand weights."""
    return parse_recipe(
        {
            "name": "tiny",
            "ema_decay": 0.9,
            "data": {"source": "digits", "validation_fraction": 0.4, "test_fraction": 0.4},
            "image": {"height": 8, "width": 8},
            "model": {"architecture": "resnet", "options": {"depths": [1], "widths": [8], "stem": "small"}},
            "schedule": {"epochs": 2, "batch_size": 32},
            "augment": {"rotate_degrees": 5.0, "mixup_alpha": 0.2},
        },
        "tiny",
    )
