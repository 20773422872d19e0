"""The evidence of a finished training: figures over held-out splits, calibration, and pictures of what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tasks.classification import softmax
from training.calibration import fit_temperature
from training.classification import build_spec
from training.data.leakage import find_leakage
from training.data.pixels import PixelDataset, open_pixels
from training.data.source import DataSource
from training.evaluation import (
    Outputs,
    calibration_error,
    compute_outputs,
    confusion_matrix,
    summarise,
    worst_mistakes,
)
from training.figures import draw_confusion, draw_learning_curve, draw_mistakes
from training.history import EpochRecord
from training.models.model import Classifier
from training.recipe import Recipe

MISTAKES_SHOWN = 24


@dataclass(frozen=True)
class Evaluation:
    """What the model is worth. `temperature` is fitted on validation data; `test_*` metrics saw neither fit."""

    temperature: float
    metrics: dict[str, float]
    validation: Outputs
    pixels: PixelDataset


def evaluate(model: Classifier, source: DataSource, recipe: Recipe) -> Evaluation:
    """Runs validation and test data through the trained model."""
    spec = build_spec(source.labels, recipe)
    pixels = open_pixels(source.split("validation"), spec)
    validation = compute_outputs(model, pixels)
    temperature = fit_temperature(validation.logits, validation.targets)
    test = compute_outputs(model, open_pixels(source.split("test"), spec))
    metrics = {
        **summarise(validation, temperature, "val"),
        **summarise(test, temperature, "test"),
        "val_ece_uncalibrated": calibration_error(validation, 1.0),
        "test_ece_uncalibrated": calibration_error(test, 1.0),
        "temperature": temperature,
    }
    return Evaluation(temperature, metrics, validation, pixels)


def write_figures(
    evaluation: Evaluation, history: Sequence[EpochRecord], source: DataSource, recipe: Recipe, folder: Path
) -> None:
    """Pictures for people, the same facts as JSON for programs, and the recipe itself."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = confusion_matrix(evaluation.validation)
    draw_learning_curve(history, folder / "learning_curve.png")
    draw_confusion(counts, source.labels, folder / "confusion_matrix.png")
    show_mistakes(evaluation, source.labels, folder / "worst_mistakes.png")
    facts = {
        "recipe": recipe,
        "history": history,
        "confusion_matrix": {"labels": source.labels, "counts": counts.tolist()},
        "data": {"digest": source.digest, "leakage": find_leakage(source)},
    }
    for name, fact in facts.items():
        (folder / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(fact), indent=2))


def show_mistakes(evaluation: Evaluation, labels: Sequence[str], path: Path) -> None:
    """The wrong answers given with the most confidence, as the network saw the pictures."""
    outputs = evaluation.validation
    worst = worst_mistakes(outputs, evaluation.temperature, MISTAKES_SHOWN)
    pictures, captions = [], []
    for index in worst:
        probabilities = softmax(outputs.logits[index].astype("float64") / evaluation.temperature)
        guess = int(probabilities.argmax())
        pictures.append(evaluation.pixels[index][0][0].numpy())
        captions.append(f"{labels[outputs.targets[index]]} as {labels[guess]}, {probabilities[guess]:.0%}")
    draw_mistakes(pictures, captions, path)
