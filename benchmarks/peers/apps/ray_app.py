"""Ray Serve: one replica, requests batched by `serve.batch`, bodies read raw from Starlette's request.

Tuned for throughput by RAY_SERVE_THROUGHPUT_OPTIMIZED, as its performance guide advises for many small requests."""

import logging
from typing import Any

import numpy as np
import ray
from ray import serve
from ray.serve.schema import LoggingConfig
from starlette.requests import Request

from benchmarks.peers.apps.classifier import Classifier, top_classes
from benchmarks.peers.apps.settings import Settings

SETTINGS = Settings.from_environment()


@serve.deployment(num_replicas=1, max_ongoing_requests=100, ray_actor_options={"num_cpus": 1})
class Classify:
    """Decoding and batches in the replica's own process."""

    def __init__(self) -> None:
        self.classifier = Classifier(SETTINGS.graph, SETTINGS.size)

    @serve.batch(max_batch_size=SETTINGS.max_batch, batch_wait_timeout_s=SETTINGS.max_wait_ms / 1000)
    async def classify(self, payloads: list[bytes]) -> list[dict[str, Any]]:
        images = np.stack([self.classifier.read(payload) for payload in payloads])
        return [top_classes(logits) for logits in self.classifier.logits(images)]

    async def __call__(self, request: Request) -> dict[str, Any]:
        answer: dict[str, Any] = await self.classify(await request.body())
        return answer


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    serve.start(
        proxy_location="HeadOnly",
        http_options={"host": "127.0.0.1", "port": SETTINGS.port},
        logging_config=LoggingConfig(log_level="ERROR", enable_access_log=False),
    )
    app = Classify.bind()  # type: ignore[attr-defined]
    serve.run(app, blocking=True, logging_config=LoggingConfig(log_level="ERROR", enable_access_log=False))
