"""Feedback and capture as the configuration wants them."""

from __future__ import annotations

from serving.aftermath import Aftermath
from serving.capture.open_capture import open_capture
from serving.config import ServerConfig
from serving.feedback.desk import FeedbackDesk, MemoryLimits
from serving.metrics import Metrics

SECONDS_PER_HOUR = 3_600.0


def open_aftermath(config: ServerConfig, metrics: Metrics) -> Aftermath:
    """For all models of one server. To be closed."""
    limits = MemoryLimits(config.feedback_memory, config.feedback_hours * SECONDS_PER_HOUR)
    return Aftermath(FeedbackDesk(limits, metrics.feedback), open_capture(config, metrics.capture))
