"""What a trained classifier is worth on data it has not learnt from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import multiclass_calibration_error, multiclass_confusion_matrix

from tasks.classification import softmax
from training.classification.calibration import negative_log_likelihood
from training.data.pixels import PixelDataset
from training.networks.classifier import Classifier
from training.progress import track

BATCH_SIZE = 256
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Outputs:
    """Logits float32 [N, C] and targets int64 [N] of one split, in its order."""

    logits: NDArray[np.float32]
    targets: NDArray[np.int64]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Which examples were named rightly: [N]."""
        right: NDArray[np.bool_] = self.logits.argmax(axis=1) == self.targets
        return right


def compute_outputs(model: Classifier, dataset: PixelDataset) -> Outputs:
    """Runs a whole split through the model, in evaluation mode, on the device where the model is."""
    device = next(model.parameters()).device
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=BATCH_SIZE, collate_fn=lambda batch: batch, num_workers=dataset.num_workers
    )
    model.eval()
    logits, targets = [], []
    with torch.inference_mode():
        for images, batch_targets in track(loader, "evaluating", len(loader)):
            logits.append(model(images.to(device))[0].cpu().numpy())
            targets.append(batch_targets.numpy())
    return Outputs(np.concatenate(logits), np.concatenate(targets))


def summarise(outputs: Outputs, temperature: float, prefix: str) -> dict[str, float]:
    """Accuracy, loss in nats and expected calibration error, the last two at the given temperature."""
    return {
        f"{prefix}_accuracy": float(outputs.correct.mean()),
        f"{prefix}_nll": negative_log_likelihood(outputs.logits, outputs.targets, temperature),
        f"{prefix}_ece": calibration_error(outputs, temperature),
    }


def calibration_error(outputs: Outputs, temperature: float) -> float:
    """Expected calibration error over 15 equal bins of confidence (Naeini et al., 2015)."""
    probabilities = torch.from_numpy(softmax(outputs.logits.astype(np.float64) / temperature))
    error = multiclass_calibration_error(
        probabilities, torch.from_numpy(outputs.targets), outputs.logits.shape[1], n_bins=CALIBRATION_BINS
    )
    return float(error)


def confusion_matrix(outputs: Outputs) -> NDArray[np.int64]:
    """Counts [true class, predicted class]."""
    counts = multiclass_confusion_matrix(
        torch.from_numpy(outputs.logits), torch.from_numpy(outputs.targets), outputs.logits.shape[1]
    )
    matrix: NDArray[np.int64] = counts.numpy()
    return matrix


def worst_mistakes(outputs: Outputs, temperature: float, count: int) -> list[int]:
    """Indices of the wrong answers given with the most confidence, worst first."""
    confidence = softmax(outputs.logits.astype(np.float64) / temperature).max(axis=1)
    wrong = np.flatnonzero(~outputs.correct)
    return [int(i) for i in wrong[np.argsort(-confidence[wrong], kind="stable")][:count]]
