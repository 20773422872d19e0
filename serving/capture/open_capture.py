"""Capture as the configuration wants it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from serving.capture.capture import Capture
from serving.capture.settings import CaptureSettings
from serving.capture.statistics import CaptureStatistics
from serving.config import ServerConfig


def open_capture(config: ServerConfig, statistics: CaptureStatistics) -> Capture | None:
    """None where nothing is to be captured."""
    if not config.capture_share:
        return None
    # Only here: it needs pyarrow, which servers without capture do without.
    from serving.capture.writer import CaptureWriter

    retention = timedelta(hours=config.capture_retention_hours)
    settings = CaptureSettings(Path(config.capture_dir), config.capture_budget_bytes, retention)
    return Capture(config.capture_share, CaptureWriter(settings, statistics), statistics)
