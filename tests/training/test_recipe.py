from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

from tasks.errors import InvalidRecipe, NotFound
from training.loss_config import ClassificationLoss
from training.recipe import RECIPES, load_recipe, parse_recipe

GOOD = """
name = "mine"
[data]
source = "digits"
[image]
height = 16
width = 16
[model]
architecture = "resnet"
"""


GOOD_TEXT = """
name = "mine"
task = "text_generation"
[data]
source = "stdlib"
[text]
context = 64
[model]
architecture = "llama"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", RECIPES.names())
def test_every_bundled_recipe_loads(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe == parse_recipe(msgspec.to_builtins(recipe), name)


def test_the_demo_and_its_full_and_smoke_runs_make_versions_of_one_model() -> None:
    assert {load_recipe(name).name for name in ("digits", "digits-quick", "digits-smoke")} == {"digits"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("height = 16", 'height = "tall"', "image.height"),
        ("height = 16", "height = 16\nheigth = 3", "`heigth` - at `$.image`; height is nearest; known: "),
        ('source = "digits"', 'source = "digits"\npath = "x"', "path"),
        ('source = "digits"', 'source = "nowhere"', "nowhere"),
        ('"resnet"', '"alexnet"', "alexnet"),
        (
            '"resnet"',
            '"resnet"\noptions = {depth = 3}',
            "options of 'resnet': Object contains unknown field `depth`; depths is",
        ),
        ('"digits"', '"joined"\nparts = [{source = "folder", pat = "x"}]', "data.parts[0]`; path is nearest; known: "),
        ('name = "mine"', 'name = "mine"\nextends = "quick"', "unknown field `extends`; known: augment, data, "),
        ('"resnet"', '"resnet"\noptions = {depths = [1, 1], widths = [8]}', "widths"),
        ('"resnet"', '"auto_backbone"', "pretrained"),
        ('"digits"', '"folders"', "data.source is 'folders'; give one of cifar10, coco, "),
        ('source = "digits"', "", "data.source is None; give one of "),
        ('name = "mine"', 'name = "My Model"', "name"),
        ('name = "mine"', 'name = "mine"\nschedule = {epochs = 2, frozen_epochs = 2}', "frozen_epochs"),
        ('name = "mine"', 'name = "mine"\nloss = {dice_weight = 1.0}', "dice_weight"),
        ('name = "mine"', 'name = "mine"\nloss = {label_smoothing = "much"}', "loss.label_smoothing"),
        ('name = "mine"', 'name = "mine"\nloss = 3', "loss"),
        ('name = "mine"', 'name = "mine"\ntask = "painting"', "painting"),
        (
            'name = "mine"',
            'name = "mine"\ntask = "segmentation"\nloss = {class_balance = 0.5, class_weights = [1.0]}',
            "exclude each other",
        ),
        ('name = "mine"', "name = ", "TOML"),
    ],
)
def test_a_mistake_is_named_with_its_file(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(InvalidRecipe) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(NotFound, match="digits-quick"):
        load_recipe("digit")


def test_overrides_reach_every_section(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    recipe = load_recipe(
        path, ["optimiser.learning_rate=0.001", "seed=7", "data.source=scenes", 'model.options.block="bottleneck"']
    )
    assert (recipe.optimiser.learning_rate, recipe.seed, recipe.data.source) == (0.001, 7, "scenes")
    assert recipe.model.options == {"block": "bottleneck"}


@pytest.mark.parametrize("override", ["epochs", "=3", "schedule..epochs=3", "name.first=3", "schedule.epoch=3"])
def test_a_wrong_override_is_an_error(tmp_path: Path, override: str) -> None:
    with pytest.raises(InvalidRecipe, match=r"override|epoch=3"):
        load_recipe(write(tmp_path, GOOD), [override])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("image={height=8, width=8}", "no pictures"),
        ("augment.invert=0.5", "no pictures"),
        ("schedule.frozen_epochs=1", "no backbone"),
        ("optimiser.backbone_factor=0.1", "no backbone"),
        ("model.backbone={architecture='resnet'}", "model.backbone"),
        ("model.architecture=resnet", "llama, lstm"),
        ("model.options.heads=5", r"width \(192\) must be heads \(5\) times a multiple of 16.*take 160 or 240"),
        ("text.context=1", "text.context"),
        ("text.tokenizer.vocabulary=256", "vocabulary"),
        ("task=detection", "image"),
    ],
)
def test_what_a_language_model_has_no_use_for_is_named(tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(InvalidRecipe, match=said):
        load_recipe(write(tmp_path, GOOD_TEXT), [override])


def test_pictures_and_texts_must_be_described_where_they_are_learnt_from(tmp_path: Path) -> None:
    for content, cut, said in (
        (GOOD, "[image]\nheight = 16\nwidth = 16\n", "image"),
        (GOOD_TEXT, "[text]\ncontext = 64\n", "text"),
    ):
        load_recipe(write(tmp_path, content))
        with pytest.raises(InvalidRecipe, match=rf"add \[{said}\]"):
            load_recipe(write(tmp_path, content.replace(cut, "")))
    with pytest.raises(InvalidRecipe, match="no texts"):
        load_recipe(write(tmp_path, GOOD), ["text.context=8"])


def test_a_captioner_whose_decoder_could_not_be_exported_is_refused() -> None:
    with pytest.raises(InvalidRecipe, match=r"width \(128\) must be heads \(16\) .*take 256, .*decoder"):
        load_recipe("scenes-captioning", ["model.options.decoder.heads=16"])


@pytest.mark.parametrize("task", ["classification", "detection", "segmentation"])
def test_a_recipe_without_a_loss_has_that_of_its_task(task: str) -> None:
    facts = {**tomllib.loads(GOOD), "task": task}
    assert msgspec.to_builtins(parse_recipe(facts, "mine").loss)["task"] == task


def test_a_loss_need_not_say_whose_it_is() -> None:
    facts = {**tomllib.loads(GOOD), "loss": {"label_smoothing": 0.1}}
    assert parse_recipe(facts, "mine").loss == ClassificationLoss(label_smoothing=0.1)


def test_recipes_lie_where_an_installed_package_has_them() -> None:
    assert (RECIPES.path / "digits.toml").is_file()
