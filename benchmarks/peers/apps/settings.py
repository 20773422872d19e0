"""What an app is told when it is started, by variables of its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """`graph`: the ONNX file; `size`: the side of its square pictures, in pixels; `max_batch` and `max_wait_ms`: of
    dynamic batching, where the peer has it; `port`: of HTTP, or of gRPC where the app speaks nothing else."""

    graph: Path
    size: int
    max_batch: int
    max_wait_ms: float
    port: int

    def variables(self) -> dict[str, str]:
        """As `from_environment` reads them."""
        return {
            "PEER_GRAPH": str(self.graph),
            "PEER_SIZE": str(self.size),
            "PEER_MAX_BATCH": str(self.max_batch),
            "PEER_MAX_WAIT_MS": str(self.max_wait_ms),
            "PEER_PORT": str(self.port),
        }

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = os.environ) -> Settings:
        return cls(
            graph=Path(variables["PEER_GRAPH"]),
            size=int(variables["PEER_SIZE"]),
            max_batch=int(variables["PEER_MAX_BATCH"]),
            max_wait_ms=float(variables["PEER_MAX_WAIT_MS"]),
            port=int(variables["PEER_PORT"]),
        )
