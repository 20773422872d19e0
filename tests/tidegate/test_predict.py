"""Predictions for files: every file gets its answer, and a broken one harms no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from registry.package import ModelPackage
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.errors import NotFound
from tasks.task import open_task
from tests.handmade import LABELS, Handmade, build_package, encoded
from tests.tidegate.collected import Collected
from tidegate.input_files import find_inputs
from tidegate.predict import Predictor


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return build_package(tmp_path_factory.mktemp("package") / "colours", Handmade(max_batch=4))


@pytest.fixture
def predictor(package: ModelPackage) -> Iterator[Predictor]:
    runtime = OnnxRuntime(package.graph_path(next(iter(package.manifest.variants))))
    yield Predictor(package, "3", open_task(package.task_spec), runtime)
    runtime.close()


def write_pictures(folder: Path, num_pictures: int) -> None:
    for i in range(num_pictures):
        (folder / f"{i:02}.jpg").write_bytes(encoded(i))


@pytest.mark.parametrize("num_pictures", [0, 1, 4, 9])
def test_every_file_is_answered_once_whatever_the_batch(
    predictor: Predictor, tmp_path: Path, num_pictures: int
) -> None:
    write_pictures(tmp_path, num_pictures)
    sink = Collected()
    yielded = list(predictor.answer(find_inputs(tmp_path), sink))
    assert yielded == sink.answers
    assert [answer.file for answer in yielded] == [f"{i:02}.jpg" for i in range(num_pictures)]
    assert all((answer.model, answer.version) == ("colours", "3") for answer in yielded)
    assert all(msgspec.to_builtins(answer)["prediction"]["classes"][0]["label"] in LABELS for answer in yielded)


def test_broken_files_become_error_rows_and_the_rest_keeps_its_answers(predictor: Predictor, tmp_path: Path) -> None:
    write_pictures(tmp_path, 5)
    whole = {answer.file: answer for answer in predictor.answer(find_inputs(tmp_path), Collected())}
    (tmp_path / "01.jpg").write_bytes(encoded(1)[:200])
    (tmp_path / "03.jpg").write_bytes(b"")
    (tmp_path / "note.txt").write_text("no picture")
    answers = {answer.file: answer for answer in predictor.answer(find_inputs(tmp_path), Collected())}
    broken = {name for name, answer in answers.items() if answer.error}
    assert broken == {"01.jpg", "03.jpg", "note.txt"}
    assert all(answers[name].prediction is None and answers[name].error_kind == "bad_input" for name in broken)
    for name in ("00.jpg", "02.jpg", "04.jpg"):
        assert answers[name].prediction.classes[0].label == whole[name].prediction.classes[0].label


def test_a_file_that_vanishes_is_an_error_row(predictor: Predictor, tmp_path: Path) -> None:
    write_pictures(tmp_path, 2)
    inputs = find_inputs(tmp_path)
    (tmp_path / "00.jpg").unlink()
    first, second = predictor.answer(inputs, Collected())
    assert "can not be read" in first.error
    assert second.prediction is not None


def test_inputs_of_a_folder_are_all_its_files_but_hidden_ones(tmp_path: Path) -> None:
    (tmp_path / "deep" / ".cache").mkdir(parents=True)
    for name in ("b.jpg", "deep/a.png", ".hidden", "deep/.cache/x.jpg"):
        (tmp_path / name).write_bytes(b"x")
    assert [file.name for file in find_inputs(tmp_path)] == ["b.jpg", "deep/a.png"]
    assert [file.name for file in find_inputs(tmp_path / "b.jpg")] == ["b.jpg"]
    with pytest.raises(NotFound):
        find_inputs(tmp_path / "nowhere")
