"""Triton: a model of its Python backend, copied into the repository as model.py. Its Triton has no ONNX Runtime of its
own (the one that PyPI carries brings the Python backend alone), so ONNX Runtime runs within the backend."""

from typing import Any

import numpy as np
import triton_python_backend_utils as triton  # type: ignore[import-not-found]

from benchmarks.peers.apps.classifier import Classifier
from benchmarks.peers.apps.settings import Settings


class TritonPythonModel:
    """`image` UINT8 [batch, size, size, 3] or `encoded_image` BYTES [batch, 1] → `logits` FP32 [batch, classes]."""

    def initialize(self, args: dict[str, str]) -> None:
        settings = Settings.from_environment()
        self.classifier = Classifier(settings.graph, settings.size)
        self.takes_pictures = "encoded_image" in args["model_config"]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Requests that Triton batched → their responses, after one run of all rows."""
        name = "encoded_image" if self.takes_pictures else "image"
        parts = [triton.get_input_tensor_by_name(request, name).as_numpy() for request in requests]
        images = np.concatenate(parts)
        if self.takes_pictures:
            images = np.stack([self.classifier.decode(picture) for picture in images.ravel()])
        rows = np.split(self.classifier.logits(images), np.cumsum([len(part) for part in parts])[:-1])
        return [triton.InferenceResponse([triton.Tensor("logits", row)]) for row in rows]
