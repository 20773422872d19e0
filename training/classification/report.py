"""The evidence of a finished training: figures over held-out splits, calibration, and pictures of what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tasks.classification import ClassificationSpec, softmax
from training.classification.calibration import fit_temperature
from training.classification.evaluation import (
    Outputs,
    calibration_error,
    compute_outputs,
    confusion_matrix,
    summarise,
    worst_mistakes,
)
from training.classification.targets import ClassTargets
from training.data.pixels import PixelDataset, open_pixels
from training.data.source import DataSource
from training.figures import draw_confusion, draw_learning_curve, draw_pictures
from training.history import EpochRecord
from training.networks.classifier import Classifier
from training.recipe import Recipe

MISTAKES_SHOWN = 24


def build_spec(labels: tuple[str, ...], recipe: Recipe, temperature: float = 1.0) -> ClassificationSpec:
    """The task that a recipe trains for."""
    return ClassificationSpec(labels=labels, image=recipe.image_spec, temperature=temperature)


@dataclass(frozen=True)
class ClassificationEvaluation:
    """What the model is worth. The temperature in `spec` is fitted on validation data."""

    spec: ClassificationSpec
    metrics: dict[str, float]
    validation: Outputs
    pixels: PixelDataset

    def write_figures(self, history: Sequence[EpochRecord], folder: Path) -> None:
        counts = confusion_matrix(self.validation)
        draw_learning_curve(history, "validation accuracy", folder / "learning_curve.png")
        draw_confusion(counts, self.spec.labels, folder / "confusion_matrix.png")
        show_mistakes(self, folder / "worst_mistakes.png")
        facts = {"labels": self.spec.labels, "counts": counts.tolist()}
        (folder / "confusion_matrix.json").write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=2))


def evaluate(model: Classifier, source: DataSource, recipe: Recipe) -> ClassificationEvaluation:
    """Runs validation and test data through the trained model."""
    spec, codec = build_spec(source.labels, recipe), ClassTargets()
    pixels = open_pixels(source.split("validation"), spec, codec)
    validation = compute_outputs(model, pixels)
    temperature = fit_temperature(validation.logits, validation.targets)
    test = compute_outputs(model, open_pixels(source.split("test"), spec, codec))
    metrics = {
        **summarise(validation, temperature, "val"),
        **summarise(test, temperature, "test"),
        "val_ece_uncalibrated": calibration_error(validation, 1.0),
        "test_ece_uncalibrated": calibration_error(test, 1.0),
        "temperature": temperature,
    }
    return ClassificationEvaluation(build_spec(source.labels, recipe, temperature), metrics, validation, pixels)


def show_mistakes(evaluation: ClassificationEvaluation, path: Path) -> None:
    """The wrong answers given with the most confidence, as the network saw the pictures."""
    outputs, labels, temperature = evaluation.validation, evaluation.spec.labels, evaluation.spec.temperature
    worst = worst_mistakes(outputs, temperature, MISTAKES_SHOWN)
    pictures, captions = [], []
    for index in worst:
        probabilities = softmax(outputs.logits[index].astype("float64") / temperature)
        guess = int(probabilities.argmax())
        pictures.append(evaluation.pixels[index][0][0].numpy())
        captions.append(f"{labels[outputs.targets[index]]} as {labels[guess]}, {probabilities[guess]:.0%}")
    draw_pictures(pictures, captions, path)
