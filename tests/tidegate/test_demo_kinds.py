"""The demo shows every kind of model there is, each by recipes that exist and fit together."""

from __future__ import annotations

import pytest

from export.generative.recipe import GenerativeRecipe
from export.recipe import load_export_recipe
from tasks.task import GENERATIVE_CLASSES, TASK_CLASSES, is_generative
from tidegate.demo_kinds import KINDS, DemoKind


def test_every_kind_of_model_is_shown_under_a_name_of_its_own() -> None:
    assert {kind.recipe.task for kind in KINDS} == {*TASK_CLASSES, *GENERATIVE_CLASSES}
    assert len({kind.path for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.recipe_name)
def test_what_is_trained_can_be_exported(kind: DemoKind) -> None:
    recipe = load_export_recipe(kind.export_recipe)
    assert isinstance(recipe, GenerativeRecipe) == is_generative(kind.recipe.task)
