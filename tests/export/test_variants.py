"""Variants of a model of which only the graph is known."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from export.compress.magnitude_pruning import MagnitudePruning
from export.generative.subject import GenerativeSubject
from export.generative.variants import compressed_subject
from export.recipe import ExportRecipe
from export.subject import Subject
from export.variants import build_variants
from tasks.errors import InvalidRecipe
from tests.language_subjects import language_subject


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> GenerativeSubject:
    return language_subject(tmp_path_factory.mktemp("model"), steps=1)


def test_steps_that_learn_on_are_refused_for_a_model_made_elsewhere(
    subject: Subject, recipe: ExportRecipe, tmp_path: Path
) -> None:
    pruned = msgspec.structs.replace(recipe.variants["fp32"], steps=(MagnitudePruning(),))
    recipe = msgspec.structs.replace(recipe, variants={"pruned": pruned})
    with pytest.raises(InvalidRecipe, match=r"magnitude_pruning .* colours was made elsewhere.*Take steps that"):
        build_variants(subject, recipe, [], tmp_path)


def test_so_they_are_for_an_imported_language_model(imported: GenerativeSubject) -> None:
    with pytest.raises(InvalidRecipe, match=r"magnitude_pruning .* was made elsewhere"):
        compressed_subject(imported, None, (MagnitudePruning(),))
