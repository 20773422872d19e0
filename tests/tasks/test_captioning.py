"""Captioning from picture to prediction: the same pixels as every other task, features, n-best captions, signals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitoring.profile import build_profile
from tasks.captioning import Captioning
from tasks.classification import Classification, ClassificationSpec
from tasks.errors import BadInput, InvalidPackage, Unsupported
from tasks.generation import Encoded, Generated, open_generative_task
from tasks.generation_params import GenerationParams
from tasks.image import ImageSpec
from tasks.task import parse_spec
from tasks.text import train_byte_level_bpe
from tests.pictures import encode, scene
from tests.tokenizer_files import CORPUS

IMAGE = {"height": 24, "width": 32}
POSITIONS, WIDTH, BEGIN, END = 6, 8, 0, 1


def opened(folder: Path, **changes: object) -> Captioning:
    (folder / "tokenizer.json").write_bytes(train_byte_level_bpe(CORPUS, 300, ["<|begin|>", "<|end|>"]))
    facts = {
        "kind": "captioning",
        "vocabulary": 300,
        "context": 40,
        "begin_token": BEGIN,
        "end_tokens": [END],
        "image": IMAGE,
        "positions": POSITIONS,
    }
    task = open_generative_task(parse_spec({**facts, **changes}), folder)
    assert isinstance(task, Captioning)
    return task


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Captioning:
    return opened(tmp_path_factory.mktemp("package"))


def encoded(task: Captioning, features: object = None) -> Encoded:
    """A picture, and what an encoder might make of it."""
    sample = task.encoder.sample_from_bytes(encode(scene(60, 80), "PNG"))
    made = np.zeros((POSITIONS, WIDTH), np.float32) if features is None else np.asarray(features)
    outputs = {"features": made, "embedding": np.arange(WIDTH, dtype=np.float32)}
    return Encoded(sample, task.encoder.preprocess(sample), outputs)


def answers(task: Captioning) -> list[Generated]:
    tokens = tuple(task.tokenizer.encode("the lazy dog"))
    logprobs = (-0.5,) * len(tokens)
    return [
        Generated(tokens, "the lazy dog", "stop", logprobs, score=-0.5),
        Generated(tokens[:1], "the", "length", (-1.0,), score=-1.0),
    ]


def test_a_picture_is_read_as_every_other_task_reads_it(task: Captioning) -> None:
    payload = encode(scene(60, 80), "JPEG")
    other = Classification(ClassificationSpec(labels=("a", "b"), image=ImageSpec(**IMAGE)))  # type: ignore[arg-type]
    ours = task.encoder.preprocess(task.encoder.sample_from_bytes(payload))
    theirs = other.preprocess(other.sample_from_bytes(payload))
    assert np.array_equal(ours["image"], theirs["image"])
    assert task.encoder.image_spec == other.image_spec


def test_the_features_stand_before_the_begin_token(task: Captioning) -> None:
    prompt = task.prompt_of(encoded(task))
    assert prompt.tokens == (BEGIN,)
    assert prompt.features is not None
    assert prompt.features.shape == (POSITIONS, WIDTH)
    assert prompt.length == POSITIONS + 1


@pytest.mark.parametrize(
    "features", [np.zeros((POSITIONS + 1, WIDTH)), np.zeros(WIDTH), np.full((POSITIONS, WIDTH), np.nan)]
)
def test_an_encoder_that_answers_with_something_else_is_at_fault(task: Captioning, features: object) -> None:
    with pytest.raises(InvalidPackage, match="roll back"):
        task.prompt_of(encoded(task, features))


def test_a_captioner_takes_no_text(task: Captioning) -> None:
    with pytest.raises(Unsupported, match="takes no text"):
        task.prompt("the lazy dog")


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ({}, GenerationParams(temperature=0)),
        ({"n": "3"}, GenerationParams(n=3, num_beams=3, temperature=0)),
        ({"num_beams": 5, "n": 2}, GenerationParams(n=2, num_beams=5)),
        ({"n": 3, "temperature": 0.8}, GenerationParams(n=3, temperature=0.8)),
        ({"n": 2, "top_p": 0.9}, GenerationParams(n=2, top_p=0.9)),
        ({"max_tokens": 7}, GenerationParams(max_tokens=7, temperature=0)),
    ],
)
def test_captions_are_the_best_unless_samples_are_asked_for(
    task: Captioning, asked: dict[str, object], meant: GenerationParams
) -> None:
    assert task.parse_params(asked) == meant


def test_a_package_may_prefer_beams(tmp_path: Path) -> None:
    task = opened(tmp_path, defaults={"num_beams": 4, "length_penalty": 0.6})
    assert task.parse_params({}) == GenerationParams(num_beams=4, length_penalty=0.6, temperature=0)
    assert task.parse_params({"n": 6}) == GenerationParams(n=6, num_beams=6, length_penalty=0.6, temperature=0)
    assert task.parse_params({"num_beams": 1}) == GenerationParams(temperature=0, length_penalty=0.6)
    assert task.parse_params({"temperature": 0.7}) == GenerationParams(temperature=0.7)


@pytest.mark.parametrize("asked", [{"n": 0}, {"n": "x"}, {"n": 99}, {"num_beams": 2, "n": 3}, {"beams": 2}])
def test_parameters_that_cannot_be_meant(task: Captioning, asked: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="parameters of generation"):
        task.parse_params(asked)


def test_the_prediction_has_the_captions_best_first(task: Captioning) -> None:
    prediction = task.finish(answers(task))
    assert [(caption.text, caption.score) for caption in prediction.captions] == [("the lazy dog", -0.5), ("the", -1.0)]
    assert prediction.captions[1].finish_reason == "length"
    outputs = task.wire_outputs(prediction)
    assert [spec.name for spec in task.wire_specs()] == list(outputs)
    assert outputs["caption"].tolist() == [b"the lazy dog", b"the"]
    assert outputs["score"].tolist() == [-0.5, -1.0]


def test_signals_are_those_of_the_picture_and_of_the_caption(task: Captioning) -> None:
    picture = encoded(task)
    signals = task.signals(task.prompt_of(picture), answers(task)[0], picture)
    assert signals.keys() == task.signal_specs().keys()
    assert {"brightness", "embedding_0", "answer_tokens", "mean_logprob", "stop_reason"} <= signals.keys()
    profile = build_profile(task.signal_specs(), [signals] * 3)
    assert all(sum(histogram.counts) == 3 for histogram in profile.signals.values())


@pytest.mark.parametrize(
    "changes",
    [{"context": POSITIONS + 1}, {"positions": 0}, {"end_tokens": []}, {"begin_token": None}],
)
def test_facts_that_contradict_each_other(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(InvalidPackage, match="task spec of kind 'captioning'"):
        opened(tmp_path, **changes)
