"""LitServe: one LitAPI with batching, and the queue that its documents advise for hundreds of requests a second.

The body is taken as raw bytes, which FastAPI offers underneath: its own examples send base64 in JSON or a form. The
annotations are read when it starts, so they must not be strings."""

from typing import Annotated, Any

import numpy as np
from fastapi import Body
from litserve import LitAPI, LitServer

from benchmarks.peers.apps.classifier import Classifier, Logits, Pictures, top_classes
from benchmarks.peers.apps.settings import Settings


class ClassifierAPI(LitAPI):
    """Decoding, batches and answers in LitServe's own worker process."""

    def setup(self, device: str) -> None:
        settings = Settings.from_environment()
        self.classifier = Classifier(settings.graph, settings.size)

    def decode_request(self, request: Annotated[bytes, Body(media_type="application/octet-stream")]) -> Pictures:
        return self.classifier.read(request)

    def batch(self, inputs: list[Pictures]) -> Pictures:
        return np.stack(inputs)

    def predict(self, x: Pictures) -> Logits:
        return self.classifier.logits(x)

    def unbatch(self, output: Logits) -> list[Logits]:
        return list(output)

    def encode_response(self, output: Logits) -> dict[str, Any]:
        return top_classes(output)


if __name__ == "__main__":
    chosen = Settings.from_environment()
    api = ClassifierAPI(max_batch_size=chosen.max_batch, batch_timeout=chosen.max_wait_ms / 1000)
    server = LitServer(api, accelerator="cpu", workers_per_device=1, timeout=False, fast_queue=True)
    server.run(
        "127.0.0.1",
        chosen.port,
        num_api_servers=1,
        log_level="error",
        access_log=False,
        generate_client_file=False,
    )
