"""A package as MLflow runs it, without MLflow."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from registry.package import ModelPackage
from serving.pyfunc import GenerativePyfuncModel, PyfuncModel, _load_pyfunc
from tasks.classification import ClassificationParams
from tasks.errors import BadInput, InvalidPackage
from tasks.task import open_task
from tests.handmade import encoded
from tests.handmade_detection import build_detector
from tests.handmade_segmentation import build_segmenter, encoded_patches
from tests.tiny_captioner import build_captioner_package
from tests.tiny_language import build_language_package

PICTURES = [encoded(seed) for seed in range(3)]


@pytest.fixture
def model(package: ModelPackage) -> PyfuncModel:
    return _load_pyfunc(str(package.folder))


@pytest.mark.parametrize("given", [PICTURES, tuple(PICTURES), {"encoded_image": PICTURES}])
def test_every_picture_gets_the_tasks_own_answer(package: ModelPackage, model: PyfuncModel, given: Any) -> None:
    answers = model.predict(given)
    task = open_task(package.task_spec)
    for payload, answer in zip(PICTURES, answers, strict=True):
        sample = task.sample_from_bytes(payload)
        outputs = model.runtime.run({"image": task.preprocess(sample)["image"][None]})
        expected = task.decode_output({name: each[0] for name, each in outputs.items()}, sample, ClassificationParams())
        assert answer["classes"][0]["label"] == task.decision(expected)


def test_options_are_the_tasks_own(model: PyfuncModel) -> None:
    assert [len(answer["classes"]) for answer in model.predict(PICTURES, {"top_k": 2})] == [2, 2, 2]
    with pytest.raises(BadInput, match="top_k"):
        model.predict(PICTURES, {"top_k": 0})


def test_objects_by_the_options_of_one_call(tmp_path: Path) -> None:
    model = _load_pyfunc(str(build_detector(tmp_path / "cells").folder))
    unset = {"score_threshold": None, "iou_threshold": None, "max_detections": None, "suppression": None}
    plain, as_mlflow_fills_in = (model.predict([encoded_patches(3)], params) for params in (None, unset))
    assert plain == as_mlflow_fills_in
    assert len(plain[0]["detections"]) > 2
    assert model.predict([encoded_patches(3)], {"max_detections": 2})[0]["detections"] == plain[0]["detections"][:2]
    with pytest.raises(BadInput, match="overlay"):
        model.predict([encoded_patches(3)], {"overlay": True})


def test_masks_by_the_options_of_one_call(tmp_path: Path) -> None:
    model = _load_pyfunc(str(build_segmenter(tmp_path / "patches").folder))
    (runs,), (rings,), (whole,) = (
        model.predict([encoded_patches(3)], {"format": form}) for form in ("rle", "polygons", "png")
    )
    assert [part["area"] for part in runs["segments"]] == [part["area"] for part in rings["segments"]]
    assert base64.b64decode(whole["png"]).startswith(b"\x89PNG")


def test_nothing_in_nothing_out(model: PyfuncModel) -> None:
    assert model.predict([]) == []


@pytest.mark.parametrize("given", [{"image": PICTURES}, 7, None, ["text"], {"encoded_image": PICTURES[0]}, b"bytes"])
def test_what_is_no_column_of_pictures_is_refused(model: PyfuncModel, given: Any) -> None:
    with pytest.raises(BadInput, match="encoded_image"):
        model.predict(given)


def test_what_is_no_picture_is_refused(model: PyfuncModel) -> None:
    with pytest.raises(BadInput):
        model.predict([b"no picture"])


def test_a_damaged_package_is_not_loaded(package: ModelPackage, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(package.folder, tmp_path / "copy"))
    (copy / "fp32" / "model.onnx").write_bytes(b"")
    with pytest.raises(InvalidPackage):
        _load_pyfunc(str(copy))


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GenerativePyfuncModel]:
    folder = build_language_package(tmp_path_factory.mktemp("package") / "tiny").folder
    model = _load_pyfunc(str(folder))
    assert isinstance(model, GenerativePyfuncModel)
    yield model
    model.generator.close()


@pytest.mark.parametrize("given", [["Return the", "Wait"], {"text_input": ["Return the", "Wait"]}])
def test_every_prompt_is_continued(writer: GenerativePyfuncModel, given: Any) -> None:
    unset = {"seed": None, "stop": None, "temperature": 0.0, "max_tokens": 5, "logprobs": 1}
    answers = writer.predict(given, unset)
    assert [len(answer["choices"][0]["logprobs"]) for answer in answers] == [5, 5]
    assert writer.predict(given, unset) == answers


async def test_a_notebook_that_has_an_event_loop_may_call_it_too(writer: GenerativePyfuncModel) -> None:
    assert len(writer.predict(["Return the"] * 9, {"max_tokens": 2})) == 9


@pytest.mark.parametrize("given", [{"prompt": ["Wait"]}, [b"bytes"], ["\ud800"], None])
def test_what_is_no_column_of_texts_is_refused(writer: GenerativePyfuncModel, given: Any) -> None:
    with pytest.raises(BadInput, match="text_input"):
        writer.predict(given)


def test_a_prompt_that_can_not_be_continued_is_refused(writer: GenerativePyfuncModel) -> None:
    with pytest.raises(BadInput, match="empty"):
        writer.predict(["Wait", ""])
    with pytest.raises(BadInput, match="regex can not be compiled"):
        writer.predict(["Wait"], {"regex": "("})


def test_pictures_are_described(tmp_path: Path) -> None:
    model = _load_pyfunc(str(build_captioner_package(tmp_path / "captions").folder))
    assert isinstance(model, GenerativePyfuncModel)
    (answer,) = model.predict({"encoded_image": [PICTURES[0]]}, {"n": 2, "max_tokens": 4})
    assert len(answer["captions"]) == 2
    with pytest.raises(BadInput):
        model.predict([b"no picture"])
    model.generator.close()
