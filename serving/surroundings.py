"""What all models of a server share."""

from __future__ import annotations

from dataclasses import dataclass, field

from serving.aftermath import Aftermath
from serving.batcher import BatchLimits
from serving.drift_feed import DriftFeed
from serving.generator import GeneratorLimits
from serving.workers import DecodePool


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Handed to every model that is brought into service."""

    decode_pool: DecodePool
    drift_feed: DriftFeed
    limits: BatchLimits
    max_pixels: int
    generator_limits: GeneratorLimits
    aftermath: Aftermath = field(default_factory=Aftermath)
