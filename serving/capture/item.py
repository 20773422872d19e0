"""What is handed to capture: answers, and labels that came later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from serving.asked import Asked
from tasks.task import Params, Prediction, TaskSpec


class ModelFacts(NamedTuple):
    """One version of one model. `kind`: of task."""

    model: str
    version: str
    variant: str
    kind: str

    @classmethod
    def of(cls, model: str, version: str, variant: str, spec: TaskSpec) -> ModelFacts:
        """Of what a task was opened from."""
        return cls(model, version, variant, str(spec.__struct_config__.tag))


class CapturedAnswer(NamedTuple):
    """`at`: when, UTC. `conclude`: what was answered, worked out on capture's own thread."""

    facts: ModelFacts
    asked: Asked
    at: datetime
    params: Params
    conclude: Callable[[], Prediction]

    @property
    def model(self) -> str:
        return self.facts.model

    @property
    def num_bytes(self) -> int:
        """That it keeps in memory, roughly."""
        prompt = self.asked.prompt
        return len(self.asked.picture) + (len(prompt) if isinstance(prompt, str) else sum(map(len, map(str, prompt))))


@dataclass(frozen=True, slots=True)
class CapturedLabel:
    """`truth`: JSON object; `mask`: a PNG, or nothing."""

    model: str
    version: str
    request_id: str
    index: int
    at: datetime
    truth: Mapping[str, Any]
    mask: bytes

    @property
    def num_bytes(self) -> int:
        """That it keeps in memory, roughly."""
        return len(self.mask)
