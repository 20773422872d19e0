"""One trained language model, for all tests of this folder."""

from __future__ import annotations

import pytest

from export.generative.recipe import GenerativeRecipe
from export.generative.subject import GenerativeSubject
from export.recipe import load_export_recipe
from tests.language_subjects import language_subject


@pytest.fixture(scope="session")
def subject(tmp_path_factory: pytest.TempPathFactory) -> GenerativeSubject:
    return language_subject(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def recipe() -> GenerativeRecipe:
    """The full recipe on very little data."""
    counts = ["num_verify=40", "num_continuations=24", "continuation_tokens=16", "num_profile=30", "num_golden=6"]
    found = load_export_recipe("text_generation", [*counts, "golden_tokens=6", "latency_seconds=0.01"])
    assert isinstance(found, GenerativeRecipe)
    return found
