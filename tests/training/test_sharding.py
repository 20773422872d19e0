"""What can be told of shards in one process; tests/e2e/test_language_training.py trains with them in two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from tests.captioning_recipes import tiny_recipe as captioning_recipe
from tests.tiny_corpus import tiny_recipe
from training.data.source import open_source
from training.kind import open_kind
from training.networks.build import build_captioner
from training.recipe import Recipe
from training.run import build_learner, run_fit
from training.sharding import check_shardable

LSTM = {"architecture": "lstm", "options": {"width": 16, "hidden": 24}}


def fit(recipe: Recipe, folder: Path) -> float:
    """The last score."""
    source, kind = open_source(recipe.data), open_kind(recipe.task)
    learner = build_learner(recipe, kind, source, None)
    return run_fit(recipe, kind, learner, source, folder, lambda record: None, None)[-1].score


def test_one_process_alone_holds_all_of_it(corpus: Path, tmp_path: Path) -> None:
    schedule = {"epochs": 1, "batch_size": 8}
    scores = [
        fit(tiny_recipe(corpus, schedule=schedule, distribution=distribution), tmp_path / distribution)
        for distribution in ("replicate", "shard")
    ]
    assert scores[0] == scores[1]


def test_a_network_of_one_block_is_not_cut(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match="LSTM"):
        fit(tiny_recipe(corpus, model=LSTM, distribution="shard"), tmp_path)


def test_a_captioner_is_copied_whole() -> None:
    """Its recipes are for several processes too, but of a decoder that small there is nothing to cut."""
    network = build_captioner(captioning_recipe().model, 300, 64, ImageSpec(height=32, width=32))
    with pytest.raises(InvalidRecipe, match="PrefixCaptioner cannot be cut"):
        check_shardable(network)


@pytest.mark.parametrize("change", [{"ema_decay": 0.9}, {"precision": "16-mixed"}])
def test_what_shards_cannot_have_is_named(corpus: Path, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidRecipe, match="shard"):
        tiny_recipe(corpus, distribution="shard", **change)
