"""Export recipes are read strictly, and errors name file and field."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from export.compress.steps import precision_of
from export.export_checkpoint import check_variants
from export.generative.recipe import GenerativeRecipe
from export.recipe import RECIPES, ExportRecipe, load_export_recipe
from tasks.errors import InvalidRecipe, NotFound
from training.recipe import TaskName

AT_ONCE = [
    "classification",
    "quick",
    *(f"{task}{length}" for task in ("detection", "segmentation") for length in ("", "-quick")),
]
GENERATIVE = [f"{task}{length}" for task in ("captioning", "text_generation") for length in ("", "-quick")]


@pytest.mark.parametrize("name", AT_ONCE)
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
        ("num_verifi=7", "unknown field `num_verifi`; num_verify is nearest; known: batch_buckets, "),
        ("variants.int8.tolerances.max_classdrop=0", "tolerances`; max_class_drop is nearest; known: class_drops, "),
        ('variants.int8.steps=[{technique = "int8_static", calibrate = 1}]', "calibration is nearest; known: activ"),
        ("num_verify=0", r"num_verify"),
        ('variants.int8.steps=[{technique = "int9"}]', "no technique 'int9': name one of bf16, .*int8_static"),
        ("variants.int8.steps=[{calibration = 'minmax'}]", "no technique None: name one of"),
        ("variants.int8.steps=3", "steps"),
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
    with pytest.raises(NotFound, match=", ".join(RECIPES.names())):
        load_export_recipe("nonsense")


TECHNIQUES = sorted(set(RECIPES.names()) - {*AT_ONCE, *GENERATIVE, "search"})
TASKS = get_args(TaskName)


@pytest.mark.parametrize("name", TECHNIQUES)
def test_technique_is_offered_to_some_task_and_refused_with_a_reason_elsewhere(name: str) -> None:
    offered, refusals = [], {}
    for task in TASKS:
        try:
            recipe = load_export_recipe(name, task=task)
            check_variants(recipe, task)
        except InvalidRecipe as refusal:
            refusals[task] = str(refusal)
            continue
        offered.append(task)
        assert recipe.variants["fp32"].steps == ()
        assert len(recipe.variants) > 1
        assert all(variant.steps for variant_name, variant in recipe.variants.items() if variant_name != "fp32")
    assert offered
    assert all(task in refusal for task, refusal in refusals.items())


def test_extending_recipe_takes_counts_from_the_recipe_of_the_task_and_may_change_them() -> None:
    base = load_export_recipe("detection-quick")
    recipe = load_export_recipe("magnitude-pruning", ["extends=quick", "num_golden=5"], "detection")
    assert isinstance(recipe, ExportRecipe)
    assert (recipe.num_verify, recipe.num_golden) == (base.num_verify, 5)
    assert list(recipe.variants) == ["fp32", "pruned"]


@pytest.mark.parametrize("task", TASKS)
def test_extending_nothing_but_the_short_recipe_is_the_short_recipe(task: TaskName) -> None:
    short = load_export_recipe("", ["extends=quick", "num_golden=5"], task)
    named = load_export_recipe("quick" if task == "classification" else f"{task}-quick", ["num_golden=5"])
    assert short == named != load_export_recipe("", ["num_golden=5"], task)
    assert load_export_recipe("", ["extends=task"], task) == load_export_recipe(task)


def test_a_recipe_that_is_whole_extends_no_other() -> None:
    for name in ("classification", "quick"):
        with pytest.raises(InvalidRecipe, match=rf"{name}\.toml with extends=quick: .* extends would change nothing"):
            load_export_recipe(name, ["extends=quick"], "classification")
    with pytest.raises(InvalidRecipe, match=r"extends=quik: .*'quik'.*extends"):
        load_export_recipe("", ["extends=quik"], "classification")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extends = "nothing"\n[variants]', "extends"),
        (
            'extends = "task"\n[variants.small]\nsteps = [{ technique = "magic" }]',
            "no technique 'magic': name one of bf16",
        ),
        ('extends = "task"\n[variants.small]\nsteps = []', "for no model at all"),
        (
            'extends = "task"\n[variants.small]\nsteps = []\ngenerative_tolerances = {}',
            "none of its variants has tolerances",
        ),
        (
            'extends = "task"\n[variants.fp32]\nsteps = [{ technique = "fp16" }]\ntolerances = {}',
            "takes no steps; give yours another name",
        ),
        ('extends = "task"\nnum_verifi = 3\n[variants.small]\nsteps = []\ntolerances = {}', "num_verifi|min_decision"),
    ],
)
def test_what_is_wrong_with_an_extending_recipe_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(InvalidRecipe, match=message):
        load_export_recipe(path, task="classification")


def test_extending_recipe_is_nothing_without_a_task() -> None:
    with pytest.raises(InvalidRecipe, match="beside a model"):
        load_export_recipe("magnitude-pruning")


def test_steps_stand_in_the_order_in_which_they_can_be_done() -> None:
    pruning, int8, fp16 = (f'{{technique = "{name}"}}' for name in ("magnitude_pruning", "int8_static", "fp16"))
    with pytest.raises(InvalidRecipe, match="another order"):
        load_export_recipe("quick", [f"variants.int8.steps=[{int8}, {pruning}]"])
    with pytest.raises(InvalidRecipe, match="change the precision"):
        load_export_recipe("quick", [f"variants.int8.steps=[{int8}, {fp16}]"])


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["clustering", "magnitude_pruning"], "makes shared values, which magnitude_pruning after it would undo"),
        (["clustering", "semi_structured_pruning"], "makes shared values"),
        (["magnitude_pruning", "low_rank"], "makes zeros, which"),
        (["semi_structured_pruning", "channel_pruning"], "makes zeros in fours"),
        (["channel_pruning", "distillation"], "put distillation first"),
        (["quantization_aware", "clustering", "int8_static"], "makes rounded weights"),
        (["quantization_aware", "channel_pruning", "int8_static"], "put channel_pruning first"),
        (["quantization_aware", "distilled_tuning", "int8_static"], "put distilled_tuning first"),
        (["quantization_aware", "quantization_aware", "int8_static"], "leave one of them out"),
        (["quantization_aware"], "let int8_static follow"),
    ],
)
def test_no_step_undoes_what_one_before_it_made(steps: list[str], message: str) -> None:
    options = {"low_rank": ", energy = 0.9"}
    tables = ", ".join(f'{{technique = "{name}"{options.get(name, "")}}}' for name in steps)
    with pytest.raises(InvalidRecipe, match=message):
        load_export_recipe("quick", [f"variants.int8.steps=[{tables}]"])


def test_a_network_learns_for_the_bytes_that_it_gets() -> None:
    steps = '{technique = "quantization_aware", weight_bits = 8}, {technique = "int8_static"}'
    with pytest.raises(InvalidRecipe, match="weights of 8 bits"):
        load_export_recipe("quick", [f"variants.int8.steps=[{steps}]"])
    right = steps.replace('int8_static"', 'int8_static", reduce_range = false')
    assert len(load_export_recipe("quick", [f"variants.int8.steps=[{right}]"]).variants["int8"].steps) == 2


@pytest.mark.parametrize(("name", "reason"), [("int8-entropy", "from token to token"), ("qat", "token by token")])
def test_refusal_is_in_the_words_of_the_technique_where_it_has_any(name: str, reason: str) -> None:
    with pytest.raises(InvalidRecipe, match=f"not for text_generation: .*{reason}.*take int8_dynamic"):
        load_export_recipe(name, task="text_generation")


def test_tolerances_of_the_float_variant_can_be_changed_beside_a_technique() -> None:
    changed = ["extends=quick", "variants.fp32.tolerances.max_class_drop=0.25"]
    plain = load_export_recipe("magnitude-pruning", changed, "classification").variants["fp32"]
    assert plain.steps == ()
    assert plain.tolerances.max_class_drop == 0.25
    assert plain.tolerances.min_decision_agreement == 0.999


@pytest.mark.parametrize(
    ("task", "given", "meant"),
    [
        ("text_generation", "tolerances.min_decision_agreement=0", "generative_tolerances.min_decision_agreement"),
        ("segmentation", "generative_tolerances.max_class_drop=1", "tolerances.max_class_drop"),
    ],
)
def test_a_limit_of_the_other_protocol_is_not_passed_over(task: TaskName, given: str, meant: str) -> None:
    with pytest.raises(InvalidRecipe, match=rf"what models of {task} may lose is in variants\.pruned\.{meant}$"):
        load_export_recipe("magnitude-pruning", [f"variants.pruned.{given}"], task)


@pytest.mark.parametrize("name", sorted(TECHNIQUES))
def test_what_decoders_may_lose_is_limited_by_class_too(name: str) -> None:
    try:
        recipe = load_export_recipe(name, (), "text_generation")
    except InvalidRecipe:
        return  # not for them, as other tests say
    assert all(each.tolerances.max_class_drop is not None for each in recipe.variants.values() if each.steps)
