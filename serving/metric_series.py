"""What a scrape shows of one model version: its numbers, and the model itself as long as it is served."""

from __future__ import annotations

from dataclasses import dataclass

from serving.generation.statistics import GenerationStatistics
from serving.served import Served
from serving.statistics import ModelStatistics


@dataclass
class Series:
    """`generation`: of a model that answers token by token."""

    statistics: ModelStatistics
    served: Served | None = None
    generation: GenerationStatistics | None = None


NamedSeries = tuple[str, str, Series]
"""Model, version, and what is known of them."""
