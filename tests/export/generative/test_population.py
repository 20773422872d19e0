"""Decoders made again from another seed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from export.compress.block_weights import Int8Dynamic
from export.compress.learning import FineTuning
from export.compress.magnitude_pruning import MagnitudePruning
from export.generative.checkpoint_subject import subject_of_checkpoint
from export.generative.population import write_population
from export.generative.recipe import GenerativeRecipe, GenerativeVariant
from export.generative.subject import GenerativeSubject
from export.generative.variants import write_variants
from tests.tiny_learning import checkpoint_of, learning_of
from training.data.cache import CACHE_VARIABLE


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> GenerativeSubject:
    """A model that was trained here, more or less."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        learning = learning_of("text_generation", tmp_path_factory.mktemp("texts"))
        return subject_of_checkpoint(checkpoint_of(learning, tmp_path_factory.mktemp("checkpoint")))


def test_only_what_learns_on_is_made_again(
    learner: GenerativeSubject, recipe: GenerativeRecipe, tmp_path: Path
) -> None:
    fp32, pruning = recipe.variants["fp32"], MagnitudePruning(fine_tuning=FineTuning(batches_per_epoch=2))
    variants = {
        "fp32": fp32,
        "int8": GenerativeVariant(steps=(Int8Dynamic(),), tolerances=fp32.tolerances),
        "pruned": GenerativeVariant(steps=(pruning,), tolerances=fp32.tolerances),
    }
    several = msgspec.structs.replace(recipe, num_seeds=2, variants=variants)
    (tmp_path / "packaged").mkdir()
    packaged = write_variants(learner, several, tmp_path / "packaged")
    others = write_population(learner, several, tmp_path)
    assert {name: len(found) for name, found in others.items()} == {"fp32": 0, "int8": 0, "pruned": 1}
    first, second = (weights_of(graphs["decoder"]) for graphs in (packaged["pruned"], others["pruned"][0]))
    assert len(first) == len(second)
    assert first != second


def weights_of(graph: Path) -> bytes:
    """Of the graph and of the files beside it."""
    return b"".join(path.read_bytes() for path in sorted(graph.parent.glob(f"{graph.name}*")))
