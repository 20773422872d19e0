"""MLServer: a custom runtime, named by `implementation` in its model-settings.json; adaptive batching is set there."""

from typing import Any

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse, RequestInput

from benchmarks.peers.apps.classifier import Classifier, Pictures
from benchmarks.peers.apps.settings import Settings


class ClassifierRuntime(MLModel):
    """`image` UINT8 [batch, size, size, 3] or `encoded_image` BYTES [batch, 1] → `logits` FP32 [batch, classes]."""

    async def load(self) -> bool:
        settings = Settings.from_environment()
        self.classifier = Classifier(settings.graph, settings.size)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        logits = self.classifier.logits(self.images(payload.inputs[0]))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("logits", logits)])

    def images(self, sent: RequestInput) -> Pictures:
        if sent.datatype == "BYTES":
            pictures: list[Any] = sent.data.root
            return np.stack([self.classifier.decode(picture) for picture in pictures])
        images: Pictures = NumpyCodec.decode_input(sent)
        return images
