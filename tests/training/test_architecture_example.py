"""docs/architectures.md keeps its word: its files, put where it says, train by its recipes."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch

import training.models
from tests.tiny_corpus import write_texts
from training.data.archive import ArchiveSplit, write_archive
from training.data.pixels import open_pixels
from training.data.source import open_source
from training.history import EpochRecord
from training.kind import open_kind
from training.networks import architecture
from training.recipe import load_recipe
from training.trainer import fit

PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"
BLOCK = re.compile(r"```(?:python|toml)\n# (\S+)\n(.*?)```", re.DOTALL)
NUM_PICTURES = 48


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The architectures of the project with those of the page beside them; its recipes in the folder that is given."""
    models = tmp_path / "training" / "models"
    shutil.copytree(architecture.MODEL_FOLDER, models, ignore=shutil.ignore_patterns("__pycache__"))
    files = dict(BLOCK.findall(PAGE.read_text()))
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(architecture, "MODEL_FOLDER", models)
    monkeypatch.setattr(training.models, "__path__", [str(models)])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith("training.models."):
            del sys.modules[name]


@pytest.mark.parametrize("name", ["plain", "fcn", "one_map"])
def test_a_file_and_a_recipe_are_enough(name: str, examples: Path, tmp_path: Path) -> None:
    small = ("image.height=64", "image.width=64", "schedule.epochs=3", "schedule.batch_size=8", 'model.warm_start=""')
    recipe = load_recipe(examples / f"{name}.toml", small)
    kind, source = open_kind(recipe.task), open_source(recipe.data)
    spec = kind.spec(source, recipe)
    write_archive(tmp_path / "split", islice(source.stream("train", 0), NUM_PICTURES))
    pictures = open_pixels(ArchiveSplit(tmp_path / "split"), spec, kind.target_codec(spec))
    torch.manual_seed(0)
    network = kind.network(recipe.model, spec)
    learner = kind.learner(network, recipe, spec)
    records: list[EpochRecord] = []
    fit(learner, (pictures, pictures), recipe, tmp_path, records.append, None)
    assert records[-1].score > records[0].score
    with torch.inference_mode():
        outputs = network.eval()(torch.zeros(2, 64, 64, 3, dtype=torch.uint8))
    assert [len(each) for each in outputs] == [2] * len(network.output_names)


def test_a_language_model_too(examples: Path, tmp_path: Path) -> None:
    write_texts(tmp_path / "corpus", 40)
    small = (
        f'data={{source="files", path="{tmp_path / "corpus"}"}}',
        "text.context=24",
        "text.tokenizer.vocabulary=280",
    )
    quick = ("model.options.width=16", "schedule.epochs=3", "schedule.batch_size=8", "optimiser.learning_rate=2e-2")
    recipe = load_recipe(examples / "gru.toml", (*small, *quick))
    kind, source = open_kind(recipe.task), open_source(recipe.data)
    network = kind.network(recipe.model, kind.spec(source, recipe))
    learner = kind.learner(network, recipe, kind.spec(source, recipe))
    records: list[EpochRecord] = []
    fit(learner, kind.datasets(source, recipe), recipe, tmp_path, records.append, None)
    assert records[-1].score < records[0].score
    assert kind.evaluate(network, source, recipe).metrics["test_bits_per_byte"] < 8
