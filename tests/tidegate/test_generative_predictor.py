"""Answers for files by models that generate: every file gets its own, and a broken one harms no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.package import ModelPackage
from serving.engine_choice import ONNX_RUNTIME
from serving.runtimes.compute_threads import ONE_THREAD
from tests.tidegate.collected import Collected
from tests.tiny_captioner import build_captioner_package, picture
from tests.tiny_language import build_language_package
from tidegate.generative_predictor import GenerativePredictor, open_generative_predictor
from tidegate.input_files import find_inputs


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return build_language_package(tmp_path_factory.mktemp("package") / "tiny", slots=(2,))


@pytest.fixture
def predictor(package: ModelPackage) -> Iterator[GenerativePredictor]:
    with open_generative_predictor(package, "3", "fp32", ONE_THREAD, ONNX_RUNTIME) as opened:
        yield opened


def write_prompts(folder: Path, num_prompts: int) -> None:
    for number in range(num_prompts):
        (folder / f"{number:02}.txt").write_text(f"Return {number} items")


@pytest.mark.parametrize("num_prompts", [0, 1, 9])
def test_every_file_is_continued_once_and_alike_each_time(
    predictor: GenerativePredictor, tmp_path: Path, num_prompts: int
) -> None:
    write_prompts(tmp_path, num_prompts)
    sink = Collected()
    yielded = list(predictor.answer(find_inputs(tmp_path), sink))
    assert yielded == sink.answers
    assert [answer.file for answer in yielded] == [f"{number:02}.txt" for number in range(num_prompts)]
    assert all(answer.version == "3" and answer.prediction.choices[0].num_tokens for answer in yielded)
    again = list(predictor.answer(find_inputs(tmp_path), Collected()))
    assert [a.prediction.choices[0].text for a in again] == [a.prediction.choices[0].text for a in yielded]


def test_broken_files_become_error_rows(predictor: GenerativePredictor, tmp_path: Path) -> None:
    write_prompts(tmp_path, 4)
    (tmp_path / "01.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "02.txt").write_bytes(b"")
    inputs = find_inputs(tmp_path)
    (tmp_path / "03.txt").unlink()
    answers = list(predictor.answer(inputs, Collected()))
    assert [answer.error_kind for answer in answers] == ["", "bad_input", "bad_input", "bad_input"]
    assert answers[0].prediction is not None


def test_pictures_get_captions(tmp_path: Path) -> None:
    package = build_captioner_package(tmp_path / "captions")
    (tmp_path / "pictures").mkdir()
    for index in range(3):
        (tmp_path / "pictures" / f"{index}.png").write_bytes(picture(index))
    with open_generative_predictor(package, "1", "fp32", ONE_THREAD, ONNX_RUNTIME) as predictor:
        answers = list(predictor.answer(find_inputs(tmp_path / "pictures"), Collected()))
    assert [len(answer.prediction.captions) for answer in answers] == [1, 1, 1]
