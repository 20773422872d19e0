"""Text generation through the same loop as every kind: learn, evaluate, leave evidence and a checkpoint."""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
import pytest
import torch
from mlflow import MlflowClient

from tasks.errors import InvalidRecipe
from tasks.generation import open_generative_task
from tasks.text_generation import TextGenerationSpec
from tests.tiny_corpus import tiny_recipe
from training.checkpoint import load_checkpoint
from training.data.config import DigitsConfig
from training.data.source import open_source
from training.kind import open_kind
from training.language.evaluation import bits_per_byte
from training.language.token_stream import open_token_stream
from training.language.windows import JudgingWindows
from training.networks.language_network import LanguageNetwork
from training.recipe import Recipe
from training.run import TrainedModel, train

LSTM = {"architecture": "lstm", "options": {"width": 16, "hidden": 24}}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def run(recipe: Recipe, work: Path) -> TrainedModel:
    return train(recipe, workdir=work, tracking_uri=f"sqlite:///{work}/mlflow.db")


@pytest.fixture(scope="module")
def trained(work: Path, corpus: Path) -> TrainedModel:
    return run(tiny_recipe(corpus), work)


def test_it_learns_and_what_was_watched_comes_out(trained: TrainedModel, work: Path) -> None:
    scores = MlflowClient(f"sqlite:///{work}/mlflow.db").get_metric_history(trained.run_id, "val_bits_per_byte")
    by_step = [metric.value for metric in sorted(scores, key=lambda metric: metric.timestamp)]
    assert by_step[5] < 0.7 * by_step[0]
    # All of these few texts are watched, so the figures are the same.
    assert min(by_step[:6]) == pytest.approx(by_step[6], rel=1e-4)
    assert trained.metrics["test_bits_per_byte"] < 2
    assert trained.metrics["test_below_kneser_ney"] == pytest.approx(
        1 - trained.metrics["test_bits_per_byte"] / trained.metrics["test_kneser_ney_bits_per_byte"]
    )


def test_its_evidence(trained: TrainedModel) -> None:
    figures = trained.folder.parent / "figures"
    assert {path.stem for path in figures.glob("*.png")} == {"learning_curve", "bits_per_byte"}
    samples = json.loads((figures / "language.json").read_text())["samples"]
    assert len(samples) == 6
    assert all(
        sample["prompt"] + "⟶" + sample["continuation"] in (figures / "samples.txt").read_text() for sample in samples
    )


def test_its_checkpoint_opens_as_a_task_with_its_tokenizer(trained: TrainedModel, corpus: Path) -> None:
    names = {path.name for path in trained.folder.iterdir()}
    assert names == {"checkpoint.json", "model.safetensors", "tokenizer.json"}
    checkpoint = load_checkpoint(trained.folder)
    assert isinstance(checkpoint.task_spec, TextGenerationSpec)
    task = open_generative_task(checkpoint.task_spec, checkpoint.folder)
    prompt = task.prompt("the red fish")
    logits = checkpoint.module(torch.tensor([prompt.tokens]))
    assert logits.shape == (1, len(prompt.tokens), checkpoint.task_spec.vocabulary)
    best = task.tokenizer.decode([int(logits[0, -1].argmax())])
    assert best.strip()
    assert " swims".startswith(best)
    assert task.end_tokens == {prompt.tokens[0]}
    # What it was said to be worth is what it is worth.
    split = open_source(checkpoint.recipe.data).split("test")
    stream = open_token_stream(split, checkpoint.folder / "tokenizer.json", prompt.tokens[0])
    assert isinstance(checkpoint.module, LanguageNetwork)
    found = bits_per_byte(checkpoint.module, JudgingWindows(stream, task.context), task.context)
    assert found == pytest.approx(trained.metrics["test_bits_per_byte"], rel=1e-4)


def test_bits_per_byte_of_a_model_that_knows_nothing(corpus: Path) -> None:
    recipe = tiny_recipe(corpus)
    source, kind = open_source(recipe.data), open_kind("text_generation")
    spec = kind.spec(source, recipe)
    assert isinstance(spec, TextGenerationSpec)

    class Indifferent(LanguageNetwork):
        def __init__(self) -> None:
            super().__init__()
            self.vocabulary, self.width = spec.vocabulary, 1
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, tokens: torch.Tensor, features: torch.Tensor | None = None) -> torch.Tensor:
            return self.weight * torch.zeros(*tokens.shape, self.vocabulary)

    (file,) = kind.assets(source, recipe)
    stream = open_token_stream(source.split("test"), file, spec.end_tokens[0])
    found = bits_per_byte(Indifferent(), JudgingWindows(stream, spec.context), spec.context)
    # Every token and every end costs the same.
    tokens = len(stream.tokens) - 1
    assert found == pytest.approx(tokens * math.log2(spec.vocabulary) / stream.num_bytes.sum())


def test_an_lstm_learns_too(work: Path, corpus: Path) -> None:
    trained = run(tiny_recipe(corpus, name="tiny-lstm", model=LSTM), work)
    assert trained.metrics["test_bits_per_byte"] < 2.5
    load_checkpoint(trained.folder)


def test_an_epoch_may_be_part_of_the_data(work: Path, corpus: Path) -> None:
    schedule = {"epochs": 3, "batch_size": 4, "batches_per_epoch": 2}
    trained = run(tiny_recipe(corpus, name="short", schedule=schedule), work)
    history = MlflowClient(f"sqlite:///{work}/mlflow.db").get_metric_history(trained.run_id, "train_loss")
    assert len(history) == 3


def test_learning_goes_on_where_another_training_ended(trained: TrainedModel, work: Path, corpus: Path) -> None:
    recipe = tiny_recipe(corpus, name="further", schedule={"epochs": 1, "batch_size": 8})
    model = msgspec.structs.replace(recipe.model, warm_start="tiny")
    further = run(msgspec.structs.replace(recipe, model=model), work)
    assert further.metrics["val_bits_per_byte"] < 1.1 * trained.metrics["val_bits_per_byte"]
    # Where its first weights came from is none of a checkpoint's business.
    assert load_checkpoint(further.folder).facts.network == load_checkpoint(trained.folder).facts.network


def test_other_heads_and_other_words_are_refused_with_what_to_set(
    trained: TrainedModel, work: Path, corpus: Path
) -> None:
    options = {"width": 32, "depth": 1, "heads": 2, "kv_heads": 1, "dropout": 0.1, "rope_base": 500.0}
    model = {"architecture": "llama", "options": options, "warm_start": str(trained.folder)}
    text = {"context": 16, "tokenizer": {"vocabulary": 270}}
    with pytest.raises(InvalidRecipe, match="does not fit: it would with") as refused:
        run(tiny_recipe(corpus, name="misfit", model=model, text=text), work)
    changes = str(refused.value).split("would with ")[1].split(", ")
    assert [change.split("=")[0] for change in changes] == ["model.options.rope_base", "text.tokenizer.path"]
    # What it says to set is enough, though the context is another one.
    options["rope_base"] = float(changes[0].split("=")[1])
    text["tokenizer"] = {"path": changes[1].split("=")[1]}
    recipe = tiny_recipe(corpus, name="fit", model=model, text=text, schedule={"epochs": 1, "batch_size": 8})
    assert run(recipe, work).metrics["val_bits_per_byte"] < 1.2 * trained.metrics["val_bits_per_byte"]


def test_another_architecture_is_refused(trained: TrainedModel, work: Path, corpus: Path) -> None:
    with pytest.raises(InvalidRecipe, match=r"Of the newest: it is of the architecture 'llama', not 'lstm'"):
        run(tiny_recipe(corpus, name="misfit", model={**LSTM, "warm_start": "tiny"}), work)
    with pytest.raises(InvalidRecipe, match=r"model\.warm_start: .*checkpoint\.json"):
        run(tiny_recipe(corpus, name="misfit", model={**LSTM, "warm_start": str(corpus)}), work)


def test_a_chat_template_travels_with_the_model(tmp_path: Path, corpus: Path) -> None:
    template = tmp_path / "plain.txt"
    template.write_text("{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}")
    text = {"context": 24, "tokenizer": {"vocabulary": 280}, "chat_template": str(template)}
    recipe = tiny_recipe(corpus, text=text)
    source, kind = open_source(recipe.data), open_kind("text_generation")
    spec = kind.spec(source, recipe)
    assert isinstance(spec, TextGenerationSpec)
    assert {path.name for path in kind.assets(source, recipe)} == set(spec.files)
    template.write_text("{% for message in")
    with pytest.raises(InvalidRecipe, match=r"text\.chat_template"):
        kind.assets(source, recipe)


def test_pictures_are_no_texts(corpus: Path) -> None:
    recipe = msgspec.structs.replace(tiny_recipe(corpus), data=DigitsConfig())
    with pytest.raises(InvalidRecipe, match="texts"):
        open_kind("text_generation").spec(open_source(recipe.data), recipe)
