from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tasks.captioning import CaptioningSpec
from tasks.errors import InvalidRecipe
from tasks.generation import open_generative_task
from tests.captioning_recipes import tiny_recipe
from training.captioning.kind import CaptioningKind
from training.checkpoint import load_checkpoint
from training.data.source import open_source
from training.networks.captioner import Captioner
from training.run import train


def test_a_recipe_becomes_a_checkpoint_that_opens_with_its_words(tmp_path: Path) -> None:
    tracking_uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    trained = train(tiny_recipe(), workdir=tmp_path, tracking_uri=tracking_uri)
    checkpoint = load_checkpoint(trained.folder)
    spec = checkpoint.task_spec
    assert isinstance(spec, CaptioningSpec)
    assert isinstance(checkpoint.module, Captioner)
    assert spec.positions == 16
    task = open_generative_task(spec, checkpoint.folder)
    sentence = "two digits: a 3 at the top left and an 8 in the middle; the 8 is larger"
    assert task.tokenizer.decode(task.tokenizer.encode(sentence)) == sentence
    for name in ("exact_match", "bleu_4", "rouge_l", "cider", "token_accuracy"):
        assert 0 <= trained.metrics[f"val_{name}"] <= 10
        assert f"test_{name}" in trained.metrics
    figures = trained.folder.parent / "figures"
    for name in ("learning_curve", "captions", "attention", "exact_match_by_length"):
        assert (figures / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((figures / "captions.json").read_text())["wrong"]
    kept = {each.path for each in MlflowClient(tracking_uri).list_artifacts(trained.run_id, "figures")}
    assert {"figures/captions.png", "figures/attention.png"} <= kept


def test_data_without_captions_is_refused() -> None:
    recipe = tiny_recipe(data={"source": "scenes", "train_size": 4, "validation_size": 4, "test_size": 4})
    with pytest.raises(InvalidRecipe, match=r"data\.max_digits above 1"):
        CaptioningKind().spec(open_source(recipe.data), recipe)


def test_a_context_without_room_for_a_caption_is_refused() -> None:
    recipe = tiny_recipe(text={"context": 17, "tokenizer": {"vocabulary": 300}})
    with pytest.raises(InvalidRecipe, match=r"text\.context \(17\) has no room"):
        CaptioningKind().spec(open_source(recipe.data), recipe)
    recipe = tiny_recipe(text={"context": 20, "tokenizer": {"vocabulary": 300}})
    with pytest.raises(InvalidRecipe, match=r"room for 3.*raise text\.context by \d+"):
        CaptioningKind().datasets(open_source(recipe.data), recipe)


@pytest.mark.parametrize("field", ["flip_horizontal", "mixup_alpha"])
def test_augmentation_that_makes_captions_untrue_is_refused(field: str) -> None:
    recipe = tiny_recipe(augment={field: 0.5})
    kind, source = CaptioningKind(), open_source(recipe.data)
    spec = kind.spec(source, recipe)
    with pytest.raises(InvalidRecipe, match=field):
        kind.learner(kind.network(recipe.model, spec), recipe, spec)


def test_a_tokenizer_may_be_brought_along(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    kind, source = CaptioningKind(), open_source(recipe.data)
    (path,) = kind.assets(source, recipe)
    own = tmp_path / "mine.json"
    own.write_bytes(path.read_bytes())
    text = {"context": 64, "tokenizer": {"path": str(own), "end_of_text": "<|nothing|>"}}
    with pytest.raises(InvalidRecipe, match=r"has no token '<\|nothing\|>'"):
        kind.spec(source, tiny_recipe(text=text))
    del text["tokenizer"]["end_of_text"]
    brought = tiny_recipe(text=text)
    (copied,) = kind.assets(source, brought)
    assert copied.read_bytes() == own.read_bytes()
    assert kind.spec(source, brought) == kind.spec(source, recipe)
