"""Each image signal moves with the one thing it is named after; the embedding's directions never change."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tasks.image import ImageArray
from tasks.image_signals import EMBEDDING_SIGNALS, IMAGE_SIGNALS, embedding_signals, image_signals, projection_matrix
from tasks.placement import ImageSpec, place_image
from tasks.task import Sample
from tests.pictures import scene


def signals_of(picture: Image.Image | ImageArray, width: int = 64, height: int = 48) -> dict[str, float]:
    image = np.asarray(picture)
    sample = Sample(image, place_image(height, width, ImageSpec(height=image.shape[0], width=image.shape[1])))
    signals = image_signals(sample, image)
    assert signals.keys() == IMAGE_SIGNALS.keys()
    return {name: signal.value for name, signal in signals.items()}


def test_brightness_and_contrast_are_in_grey_levels():
    flat = signals_of(np.full((48, 64, 3), 100, np.uint8))
    assert flat["brightness"] == pytest.approx(100, abs=1e-3)
    assert flat["contrast"] == pytest.approx(0, abs=1e-3)
    halves = np.zeros((48, 64, 3), np.uint8)
    halves[:, 32:] = 200
    assert signals_of(halves)["contrast"] == pytest.approx(100, abs=1e-2)


def test_blur_lowers_sharpness_and_noise_raises_it():
    picture = scene(48, 64)
    noise = np.random.default_rng(0).normal(0, 20, (48, 64, 3))
    noisy = np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)
    sharp = signals_of(noisy)["sharpness"]
    assert sharp > signals_of(picture)["sharpness"] + 1
    assert sharp > signals_of(Image.fromarray(noisy).filter(ImageFilter.GaussianBlur(2)))["sharpness"] + 1


def test_shape_is_that_of_the_original_and_symmetric_in_portrait_and_landscape():
    wide, tall = signals_of(scene(8, 8), width=200, height=100), signals_of(scene(8, 8), width=100, height=200)
    assert wide["width"] == 200
    assert wide["aspect_ratio"] == pytest.approx(-tall["aspect_ratio"])
    assert wide["aspect_ratio"] > 0


def test_a_tensor_says_nothing_about_the_shape_of_its_original():
    image = np.asarray(scene(48, 64))
    placement = place_image(48, 64, ImageSpec(height=48, width=64))
    assert IMAGE_SIGNALS.keys() - image_signals(Sample(image, placement, origin="tensor"), image).keys() == {
        "aspect_ratio",
        "width",
    }


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 40), (3, 3)])
def test_inputs_too_small_for_an_edge_still_have_finite_signals(size):
    assert np.isfinite(list(signals_of(scene(*size)).values())).all()


PINNED_SIGNS = [[-1, 1, -1, 1], [-1, 1, -1, -1], [1, -1, -1, 1], [-1, 1, -1, 1], [1, 1, -1, 1], [-1, 1, -1, -1]]


def test_the_directions_of_the_projection_are_pinned():
    # A reference profile made by one release must mean the same to every later one.
    assert np.sign(projection_matrix(6)).astype(int).tolist() == PINNED_SIGNS
    np.testing.assert_allclose(np.linalg.norm(projection_matrix(512), axis=0), 1, rtol=1e-5)


def test_a_shifted_embedding_moves_its_signals():
    embedding = np.random.default_rng(0).normal(size=128)
    before, after = embedding_signals(embedding), embedding_signals(embedding + 1)
    assert before.keys() == after.keys() == EMBEDDING_SIGNALS.keys()
    assert all(abs(after[name].value - before[name].value) > 1e-3 for name in before)
