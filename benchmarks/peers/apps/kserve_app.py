"""KServe's own Python server with a custom model. It has no batching: KServe's batcher is a sidecar of its pods.

It is asked over gRPC: over HTTP it makes a list of numbers of every binary tensor, and refuses binary strings."""

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.model_server import args

from benchmarks.peers.apps.classifier import Classifier, Pictures
from benchmarks.peers.apps.settings import Settings


class ClassifierModel(Model):
    """`image` UINT8 [batch, size, size, 3] or `encoded_image` BYTES [batch, 1] → `logits` FP32 [batch, classes]."""

    def __init__(self, name: str, classifier: Classifier) -> None:
        super().__init__(name)
        self.classifier = classifier
        self.ready = True

    def predict(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferResponse:
        logits = self.classifier.logits(self.images(payload))
        output = InferOutput("logits", list(logits.shape), "FP32")
        output.set_data_from_numpy(logits, binary_data=True)
        return InferResponse(payload.id, self.name, [output], use_binary_outputs=True)

    def images(self, payload: InferRequest) -> Pictures:
        sent = payload.inputs[0]
        if sent.datatype == "BYTES":
            return np.stack([self.classifier.decode(picture) for picture in sent.as_numpy().ravel()])
        images: Pictures = sent.as_numpy()
        return images


if __name__ == "__main__":
    settings = Settings.from_environment()
    model = ClassifierModel(args.model_name, Classifier(settings.graph, settings.size))
    ModelServer().start([model])
