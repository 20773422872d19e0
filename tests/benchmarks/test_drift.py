"""The bars of benchmarks/drift.py at a size that takes seconds: striped pictures and a template classifier instead of
scenes and a trained one, through the same decoder, task, profile, monitor and trial code."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import stats

from benchmarks.corruptions import CORRUPTIONS, corrupt_payload
from benchmarks.drift import (
    CLASSIFICATION,
    MIN_DETECTED,
    MISSING,
    WINDOW_SIZE,
    Replicate,
    binomial_bound,
    detections,
    window_p_values,
)
from benchmarks.signal_pool import SignalPool, picture_row
from monitoring.profile import build_profile
from tasks.classification import Classification, ClassificationParams, ClassificationSpec
from tasks.image import ImageSpec

SIDE, NUM_CLASSES = 32, 5
NUM_REFERENCES, NUM_WINDOWS, REFERENCE_SIZE = 5, 15, 2_000
ANGLES = np.pi * np.arange(NUM_CLASSES) / NUM_CLASSES
TASK = Classification(
    ClassificationSpec(
        labels=tuple(f"stripes {i}" for i in range(NUM_CLASSES)), image=ImageSpec(height=SIDE, width=SIDE)
    )
)


Y, X = np.mgrid[:SIDE, :SIDE]


def stripes(angle: float, phase: float) -> NDArray[np.float64]:
    return np.sin((np.cos(angle) * X + np.sin(angle) * Y) * 0.8 + phase)


TEMPLATES = np.array([[stripes(angle, phase).ravel() for phase in (0, np.pi / 2)] for angle in ANGLES]) / SIDE


def striped_picture(rng: np.random.Generator, target: int) -> bytes:
    """A JPEG of stripes whose direction is the class, of random light (more dark than bright), contrast and grain."""
    pattern = stripes(ANGLES[target], rng.uniform(0, 2 * np.pi))
    grain = rng.standard_normal((SIDE, SIDE, 3)) * rng.uniform(2, 6)
    pixels = rng.uniform(60, 150) + rng.uniform(20, 50) * pattern[..., None] + grain
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def observed_row(payload: bytes) -> NDArray[np.float64]:
    sample = TASK.sample_from_bytes(payload)
    tensors = TASK.preprocess(sample)
    responses = TEMPLATES @ (tensors["image"].mean(axis=-1) - 128).ravel()
    energy = np.sqrt((responses**2).sum(axis=-1))
    outputs = {"logits": energy / 30, "embedding": responses.ravel().astype(np.float32)}
    prediction = TASK.decode_output(outputs, sample, ClassificationParams())
    return picture_row(TASK.signal_specs(), TASK.signals(sample, tensors, outputs, prediction))


def striped_pool(size: int, seed: int, corruption: str = "", num_classes: int = NUM_CLASSES) -> SignalPool:
    rng = np.random.default_rng(seed)
    targets = rng.integers(num_classes, size=size)
    payloads = [striped_picture(rng, int(target)) for target in targets]
    if corruption:
        payloads = [corrupt_payload(payload, CORRUPTIONS[corruption], rng) for payload in payloads]
    return SignalPool(TASK.signal_specs(), np.array([observed_row(p) for p in payloads]))


@pytest.fixture(scope="module")
def replicates() -> list[Replicate]:
    size = REFERENCE_SIZE + NUM_WINDOWS * WINDOW_SIZE
    pool = striped_pool(size, seed=0)
    orders = [np.random.default_rng(number).permutation(size) for number in range(NUM_REFERENCES)]
    return [
        Replicate(
            build_profile(pool.specs, pool.observations(order[:REFERENCE_SIZE])),
            pool,
            order[REFERENCE_SIZE:],
        )
        for order in orders
    ]


def test_clean_windows_raise_no_more_alarms_than_configured(replicates: list[Replicate]) -> None:
    p_values = np.array([p for replicate in replicates for p in window_p_values(replicate)])
    assert p_values.size == NUM_REFERENCES * NUM_WINDOWS
    for rate in (0.2, 0.05, 0.01, 0.001):
        assert (p_values <= rate).sum() <= binomial_bound(p_values.size, rate)


@pytest.mark.parametrize("corruption", [bar for bar in CLASSIFICATION.bars if bar != MISSING])
def test_corrupted_pictures_are_noticed_within_a_window(replicates: list[Replicate], corruption: str) -> None:
    corrupted = striped_pool(2 * WINDOW_SIZE, seed=1, corruption=corruption)
    found = [d for replicate in replicates for d in detections(replicate, corrupted)]
    assert np.mean(np.array(found) <= WINDOW_SIZE) >= MIN_DETECTED


def test_a_missing_class_is_noticed_within_a_window(replicates: list[Replicate]) -> None:
    without = striped_pool(3 * WINDOW_SIZE, seed=2, num_classes=NUM_CLASSES - 1)
    found = [d for replicate in replicates for d in detections(replicate, without)]
    assert np.mean(np.array(found) <= WINDOW_SIZE) >= MIN_DETECTED


@pytest.mark.parametrize(("trials", "rate"), [(75, 0.2), (10_000, 0.05), (10_000, 1e-5), (50, 0.001)])
def test_binomial_bound_is_the_quantile(trials: int, rate: float) -> None:
    assert binomial_bound(trials, rate) == stats.binom.ppf(0.99, trials, rate)
