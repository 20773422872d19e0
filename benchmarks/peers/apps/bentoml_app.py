"""BentoML: a service of one worker, with batchable methods for pictures and for tensors.

Tensors arrive as files: BentoML's other way for arrays is JSON, and pickles are for its own services among each other.
Its dispatcher decides by itself how long a batch may gather; `max_latency_ms` is when it starts to refuse."""

from pathlib import Path
from typing import Any

import bentoml
import numpy as np
from PIL.Image import Image

from benchmarks.peers.apps.classifier import Classifier, fitted, top_classes
from benchmarks.peers.apps.settings import Settings

SETTINGS = Settings.from_environment()
BATCHING = {"batchable": True, "max_batch_size": SETTINGS.max_batch, "max_latency_ms": 60_000}


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}}, metrics={"enabled": False})
class Classify:
    """POST /pictures and /tensors, multipart forms with one file each."""

    def __init__(self) -> None:
        self.classifier = Classifier(SETTINGS.graph, SETTINGS.size)

    @bentoml.api(**BATCHING)
    def pictures(self, files: list[Image]) -> list[dict[str, Any]]:
        images = np.stack([fitted(picture, SETTINGS.size) for picture in files])
        return [top_classes(logits) for logits in self.classifier.logits(images)]

    @bentoml.api(**BATCHING)
    def tensors(self, files: list[Path]) -> list[dict[str, Any]]:
        images = np.stack([self.classifier.read(path.read_bytes()) for path in files])
        return [top_classes(logits) for logits in self.classifier.logits(images)]
