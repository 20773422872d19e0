"""Key files of tests, and what their holders send."""

from __future__ import annotations

from pathlib import Path

from serving.access.caller import Role
from serving.access.key_edits import issue_key


def issue(path: Path, name: str, role: Role = Role.PREDICT, rate: float | None = None) -> str:
    """A new key of the file at `path`."""
    return issue_key(path, name, role, rate).text()


def bearer(key: str) -> dict[str, str]:
    """As OpenAI's clients send it."""
    return {"authorization": f"Bearer {key}"}


def sent(key: str) -> dict[bytes, bytes]:
    """The same as a server sees it."""
    return {b"authorization": f"Bearer {key}".encode()}
