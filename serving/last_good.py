"""What was last served well, on local disk: what a server falls back to when it starts and the registry is away."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

from registry.reference import VersionInfo
from registry.shared_database import alone_with

FILE_NAME = "last_good.json"
log = logging.getLogger(__name__)


class LastGood:
    """Reference → the version that answered to it. A damaged file only means that nothing is remembered."""

    def __init__(self, cache: Path) -> None:
        self._path = cache / FILE_NAME
        self._versions = self._read()

    def references(self) -> list[str]:
        return list(self._versions)

    def find(self, reference: str) -> VersionInfo | None:
        return self._versions.get(reference)

    def remember(self, reference: str, info: VersionInfo) -> None:
        """Beside what other servers on the same cache remember. Written under another name first, so that a crash
        leaves the old file."""
        self._versions[reference] = info
        with alone_with(self._path):
            incoming = self._path.with_suffix(".incoming")
            incoming.write_bytes(msgspec.json.encode(self._read() | {reference: info}))
            os.replace(incoming, self._path)

    def _read(self) -> dict[str, VersionInfo]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, VersionInfo])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("%s can not be read and is ignored: %s", self._path, error)
            return {}
