"""Where a server finds what it serves, and where it listens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.apps.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".venv-peers"


@dataclass(frozen=True)
class Stand:
    """`packages`: the store that holds the one `model`, its graph and sizes in `settings`; `folder`: an empty one of
    the server's own."""

    model: str
    packages: Path
    settings: Settings
    folder: Path

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.settings.port}{path}"


def program(environment: str, name: str) -> str:
    """A program of a peer's environment."""
    return str(ENVIRONMENTS / environment / "bin" / name)


def is_built(environment: str) -> bool:
    """`scripts/peers-env.sh` leaves the mark when everything is installed."""
    return (ENVIRONMENTS / environment / ".installed").exists()
