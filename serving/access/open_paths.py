"""What may be asked without a key. Everything else needs one: what is not listed here is closed."""

from __future__ import annotations

HEALTH = frozenset({"/v2/health/live", "/v2/health/ready"})
"""Whoever restarts or routes around a server asks these, and carries no key."""
CONSOLE, CONSOLE_API = "/console", "/console/api"
"""The console's page is files that everybody may have; what they show comes from its API, which needs a key."""
CALLS = frozenset(
    {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady",
    }
)
"""The same over gRPC."""


def is_open(path: str) -> bool:
    """Whether the prediction port answers this path without a key."""
    if path in HEALTH:
        return True
    return is_within(path, CONSOLE) and not is_within(path, CONSOLE_API)


def is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
