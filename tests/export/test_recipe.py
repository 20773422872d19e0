"""Export recipes are read strictly, and errors name file and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.compress.steps import precision_of
from export.generative.recipe import GenerativeRecipe
from export.recipe import RECIPES, load_export_recipe
from tasks.errors import InvalidRecipe

GENERATIVE = [f"{task}{length}" for task in ("captioning", "text_generation") for length in ("", "-quick")]


@pytest.mark.parametrize("name", sorted(set(RECIPES.names()) - set(GENERATIVE)))
def test_bundled_recipes_build_float_and_int8(name: str) -> None:
    recipe = load_export_recipe(name)
    assert {precision_of(variant.steps) for variant in recipe.variants.values()} == {"fp32", "int8"}
    assert recipe.num_profile >= (1500 if name.endswith("-quick") else 5000)


@pytest.mark.parametrize("name", GENERATIVE)
def test_generative_recipes_prove_a_float_variant_on_many_continuations(name: str) -> None:
    recipe = load_export_recipe(name)
    assert isinstance(recipe, GenerativeRecipe)
    assert {precision_of(variant.steps) for variant in recipe.variants.values()} >= {"fp32", "int8", "int4"}
    assert recipe.num_continuations >= (60 if name.endswith("-quick") else 200)
    assert recipe.num_verify >= recipe.num_continuations >= recipe.num_golden


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('protocol="magic"', "protocol"),
        ("slots=[4, 1]", "must increase"),
        ("batch_buckets=[1]", "batch_buckets"),
        ('variants.int4.steps=[{technique = "int4_weights", block_size = 33}]', "block_size"),
        ('variants.fp32.steps=[{technique = "fp16"}]', "must have no steps"),
        ("variants.int8.tolerances.max_metric_drop=0.1", "max_metric_drop"),
    ],
)
def test_wrong_field_of_a_generative_recipe_is_named(override: str, message: str) -> None:
    with pytest.raises(InvalidRecipe, match=message):
        load_export_recipe("text_generation", [override])


def test_detectors_get_a_variant_that_suppresses_by_itself() -> None:
    for name in ("detection", "detection-quick"):
        suppressed = load_export_recipe(name).variants["fp32_nms"].suppression
        assert suppressed is not None
        # Well below the default of a request, which callers may want to lower.
        assert suppressed.score_threshold < 0.1


def test_overrides_reach_every_table() -> None:
    recipe = load_export_recipe("quick", ["num_verify=7", "variants.int8.tolerances.max_class_drop=0.5"])
    assert recipe.num_verify == 7
    assert recipe.variants["int8"].tolerances.max_class_drop == 0.5
    assert recipe.variants["fp32"].tolerances.max_class_drop == 0.001


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("num_verifi=7", "num_verifi"),
        ("num_verify=0", r"num_verify"),
        ('variants.int8.steps=[{technique = "int9"}]', "int9"),
        ("variants.int8.tolerances.max_class_drop=2", "max_class_drop"),
        ("batch_buckets=[4, 1]", "must increase"),
        ("batch_buckets=[]", "must increase"),
        ("variants={}", "at least one variant"),
        ("opset=9", "opset"),
    ],
)
def test_wrong_field_is_named(override: str, message: str) -> None:
    with pytest.raises(InvalidRecipe, match=message):
        load_export_recipe("quick", [override])


def test_variant_name_becomes_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    text = (Path(__file__).parents[2] / "export" / "recipes" / "quick.toml").read_text()
    path.write_text(text.replace("variants.int8", 'variants."../int8"'))
    with pytest.raises(InvalidRecipe, match=r"own\.toml: variant name"):
        load_export_recipe(path)


def test_unknown_recipe_lists_the_known() -> None:
    with pytest.raises(
        InvalidRecipe,
        match="captioning, captioning-quick, classification, detection, detection-quick, quick, segmentation",
    ):
        load_export_recipe("nonsense")
