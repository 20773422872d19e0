"""What a trained detector finds in data it has not learnt from, as a client would be answered: in original pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from tasks.detection import Detection, DetectionParams, DetectionPrediction
from tasks.task import Sample
from training.data.annotation import Annotation
from training.data.source import Split
from training.detection.coco import MAX_DETECTIONS, Boxes
from training.networks.detector import Detector
from training.progress import track

BATCH_SIZE = 64


@dataclass(frozen=True)
class Findings:
    """One split, picture by picture: what is there, what was found down to the lowest scores, and how large the
    pictures are (height, width)."""

    truth: list[Annotation]
    found: list[Boxes]
    sizes: list[tuple[int, int]]


def find_objects(network: Detector, task: Detection, split: Split) -> Findings:
    """Runs a whole split through network and task, on the device where the network is."""
    params = DetectionParams(score_threshold=task.spec.min_score_threshold, max_detections=MAX_DETECTIONS)
    findings = Findings([], [], [])
    predictions = track(predict(network, task, split, params), "evaluating", len(split))
    for prediction, target in zip(predictions, split.targets, strict=True):
        assert isinstance(target, Annotation)
        findings.truth.append(target)
        findings.found.append(as_boxes(prediction))
        findings.sizes.append((prediction.height, prediction.width))
    return findings


def predict(network: Detector, task: Detection, split: Split, params: DetectionParams) -> Iterator[DetectionPrediction]:
    """The answer to every picture of a split, in order."""
    device = next(network.parameters()).device
    network.eval()

    def decode(index: int) -> Sample:
        return task.sample_from_bytes(split[index].payload)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool, torch.inference_mode():
        for start in range(0, len(split), BATCH_SIZE):
            samples = list(pool.map(decode, range(start, min(start + BATCH_SIZE, len(split)))))
            images = np.stack([task.preprocess(sample)["image"] for sample in samples])
            outputs = [tensor.cpu().numpy() for tensor in network(torch.from_numpy(images).to(device))]
            for sample, *item in zip(samples, *outputs, strict=True):
                yield task.decode_output(dict(zip(network.output_names, item, strict=True)), sample, params)


def as_boxes(prediction: DetectionPrediction) -> Boxes:
    """An answer as arrays."""
    found = prediction.detections
    return Boxes(
        np.array([each.box for each in found], np.float64).reshape(-1, 4),
        np.array([each.score for each in found], np.float64),
        np.array([each.class_id for each in found], np.int64),
    )
