"""The recipe by which a trained model learns on."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from tasks.classification import ClassificationSpec
from tasks.errors import InvalidRecipe
from tests.tiny_corpus import tiny_recipe as language_recipe
from tests.tiny_learning import checkpoint_of, learning_of
from training.checkpoint import CheckpointFacts
from training.data.config import DigitsConfig, FolderConfig, JoinedConfig
from training.data.digits import encode_png
from training.data.source import open_source
from training.recipe import Recipe
from training.retraining import Origin, joined_data, retraining_recipe, snapshots_below
from training.tokenizer_file import TOKENIZER_FILE

KNOWN, NEW, NEWER = DigitsConfig(), FolderConfig(path="/new"), FolderConfig(path="/newer")


def facts_of(recipe: Recipe, digest: str = "") -> CheckpointFacts:
    spec = ClassificationSpec(labels=tuple("0123456789"), image=recipe.image_spec)
    return CheckpointFacts(
        task=msgspec.to_builtins(spec),
        recipe=msgspec.to_builtins(recipe),
        network=recipe.model,
        dataset_digest=digest,
        split_sizes={},
        git_commit="",
        libraries={},
        metrics={},
    )


@pytest.fixture
def origin(tiny_recipe: Recipe, tmp_path: Path) -> Origin:
    return Origin("tiny/3", tmp_path, facts_of(tiny_recipe))


def test_new_data_stand_behind_what_was_known() -> None:
    assert joined_data(KNOWN, NEW, is_new_normal=False) == JoinedConfig(parts=(KNOWN, NEW))
    assert joined_data(KNOWN, NEW, is_new_normal=True) == JoinedConfig(parts=(KNOWN, NEW), normal_parts=1)


def test_data_are_added_to_data_that_were_added_before() -> None:
    once = JoinedConfig(parts=(KNOWN, NEW), repeat=4)
    assert joined_data(once, NEWER, is_new_normal=False) == JoinedConfig(parts=(KNOWN, NEW, NEWER), repeat=4)


def test_the_same_data_are_added_once_and_may_become_what_is_normal() -> None:
    once = JoinedConfig(parts=(KNOWN, NEW, NEWER))
    assert joined_data(once, NEW, is_new_normal=True) == JoinedConfig(parts=(KNOWN, NEWER, NEW), normal_parts=1)


def test_what_is_normal_no_more_stays_out_when_more_is_added() -> None:
    changed = JoinedConfig(parts=(KNOWN, NEW), normal_parts=1)
    more = JoinedConfig(parts=(KNOWN, NEW, NEWER), normal_parts=2)
    assert joined_data(changed, NEWER, is_new_normal=False) == more
    assert joined_data(changed, NEWER, is_new_normal=True) == msgspec.structs.replace(more, normal_parts=1)
    again = JoinedConfig(parts=(KNOWN, NEWER, NEW), normal_parts=2)
    assert joined_data(more, NEW, is_new_normal=False) == again
    assert joined_data(again, NEW, is_new_normal=False) == again


def test_snapshots_are_found_among_the_data(tmp_path: Path) -> None:
    taken = FolderConfig(path=str(tmp_path / "m-0123"))
    assert snapshots_below(tmp_path, JoinedConfig(parts=(KNOWN, NEW, taken))) == [tmp_path / "m-0123"]
    assert snapshots_below(tmp_path, KNOWN) == []


def test_everything_is_as_it_was_but_the_data_and_the_weights(origin: Origin, tiny_recipe: Recipe) -> None:
    data = joined_data(tiny_recipe.data, NEW, is_new_normal=False)
    made = retraining_recipe(origin, data, (), learns_on=True)
    model = msgspec.structs.replace(tiny_recipe.model, warm_start="tiny/3")
    assert made == msgspec.structs.replace(tiny_recipe, data=data, model=model)
    assert retraining_recipe(origin, tiny_recipe.data, (), learns_on=False) == tiny_recipe


def test_a_model_that_began_elsewhere_goes_on_from_where_it_is(tiny_recipe: Recipe, tmp_path: Path) -> None:
    began = msgspec.structs.replace(tiny_recipe, model=msgspec.structs.replace(tiny_recipe.model, warm_start="other"))
    origin = Origin("tiny/3", tmp_path, facts_of(began))
    assert retraining_recipe(origin, began.data, (), learns_on=True).model.warm_start == "tiny/3"
    assert retraining_recipe(origin, began.data, (), learns_on=False).model.warm_start == ""


def test_fields_may_be_changed(origin: Origin) -> None:
    made = retraining_recipe(origin, KNOWN, ["schedule.epochs=7", "optimiser.learning_rate=1e-4"], learns_on=True)
    assert (made.schedule.epochs, made.optimiser.learning_rate) == (7, 1e-4)
    with pytest.raises(InvalidRecipe, match=r"tiny/3 with schedule\.epoch=7"):
        retraining_recipe(origin, KNOWN, ["schedule.epoch=7"], learns_on=True)


@pytest.mark.parametrize(
    ("override", "origin_of_weights"),
    [
        ("data.repeat=3", "tiny/3"),
        ("data.normal_parts=1", "tiny/3"),
        ("schedule.epochs=7", "tiny/3"),
        ("data.seed=5", ""),
    ],
)
def test_weights_are_not_judged_by_what_they_were_learnt_from(
    override: str, origin_of_weights: str, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    joined = joined_data(KNOWN, NEW, is_new_normal=False)
    known = KNOWN if override == "data.seed=5" else joined
    origin = Origin("tiny/3", tmp_path, facts_of(msgspec.structs.replace(tiny_recipe, data=known)))
    assert retraining_recipe(origin, known, [override], learns_on=True).model.warm_start == origin_of_weights


def test_whether_its_data_are_what_they_were(tiny_recipe: Recipe, tmp_path: Path) -> None:
    for shade in range(12):
        (tmp_path / str(shade % 2)).mkdir(exist_ok=True)
        (tmp_path / str(shade % 2) / f"{shade}.png").write_bytes(encode_png(np.full((4, 4), shade, np.uint8)))
    data = FolderConfig(path=str(tmp_path))
    recipe = msgspec.structs.replace(tiny_recipe, data=data)
    origin = Origin("tiny/1", tmp_path, facts_of(recipe, open_source(data).digest))
    assert origin.has_its_data()
    (tmp_path / "1" / "more.png").write_bytes(encode_png(np.full((4, 4), 200, np.uint8)))
    assert not origin.has_its_data()


def test_words_keep_their_tokens_and_chats_their_template(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    learning = learning_of("text_generation", tmp_path / "texts")
    checkpoint = checkpoint_of(learning, folder)
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    origin = Origin("tiny/1", folder, checkpoint.facts)
    chat = origin.chat_template()
    assert chat is not None
    assert chat.render([{"role": "user", "content": "red fish"}]) == "red fish"

    recipe = retraining_recipe(origin, language_recipe(tmp_path / "texts").data, (), learns_on=True)
    words = Path(recipe.text_config.tokenizer.path)
    assert words.read_bytes() == (folder / TOKENIZER_FILE).read_bytes()
    kept = Path(recipe.text_config.chat_template)
    assert kept.read_text().startswith("{% for m in messages %}")
    assert not {words, kept} & {*folder.iterdir()}, "the checkpoint's folder is about to go"


def test_a_model_of_pictures_takes_no_conversations(origin: Origin) -> None:
    assert origin.chat_template() is None
