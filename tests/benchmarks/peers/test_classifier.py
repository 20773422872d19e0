import io

import numpy as np
import pytest
from PIL import Image

from benchmarks.peers.apps.classifier import Classifier, fitted, top_classes
from benchmarks.requests import photograph
from tasks.classification import ClassificationSpec
from tasks.image import ImageSpec
from tasks.task import open_task
from tests.handmade import Handmade, build_package


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    folder = tmp_path_factory.mktemp("package") / "colours"
    build_package(folder, Handmade(size=32, num_profile=2))
    return Classifier(folder / "fp32" / "model.onnx", 32)


def test_the_picture_of_the_benchmark_is_decoded_to_what_our_own_preprocessing_makes_of_it() -> None:
    task = open_task(ClassificationSpec(labels=("a", "b"), image=ImageSpec(height=224, width=224, fit="crop")))
    payload = photograph()
    ours = task.preprocess(task.sample_from_bytes(payload))["image"]
    theirs = fitted(Image.open(io.BytesIO(payload)), 224)
    assert theirs.shape == (224, 224, 3)
    assert np.abs(theirs.astype(int) - ours.astype(int)).max() <= 1


def test_a_picture_smaller_than_the_input_is_enlarged(classifier: Classifier) -> None:
    assert classifier.read(photograph(30, 20)).shape == (32, 32, 3)


def test_a_body_that_is_no_jpeg_is_the_tensor_itself(classifier: Classifier) -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 255
    assert np.array_equal(classifier.read(red.tobytes()), red)
    assert top_classes(classifier.logits(red[None])[0])["class_ids"][0] == 1


def test_the_best_classes_come_first_with_probabilities() -> None:
    answer = top_classes(np.array([0.0, 3.0, 1.0], np.float32))
    assert answer["class_ids"] == [1, 2, 0]
    assert sum(answer["scores"]) == pytest.approx(1)
