"""What was last served well, on local disk: what a server falls back to when it starts and the registry is away."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

from registry.reference import VersionInfo

FILE_NAME = "last_good.json"
log = logging.getLogger(__name__)


class LastGood:
    """Reference → the version that answered to it. A damaged file only means that nothing is remembered."""

    def __init__(self, cache: Path) -> None:
        self._path = cache / FILE_NAME
        self._versions: dict[str, VersionInfo] = {}
        try:
            self._versions = msgspec.json.decode(self._path.read_bytes(), type=dict[str, VersionInfo])
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("%s can not be read and is ignored: %s", self._path, error)

    def references(self) -> list[str]:
        return list(self._versions)

    def find(self, reference: str) -> VersionInfo | None:
        return self._versions.get(reference)

    def remember(self, reference: str, info: VersionInfo) -> None:
        """Written under another name first, so that a crash leaves the old file."""
        self._versions[reference] = info
        self._path.parent.mkdir(parents=True, exist_ok=True)
        incoming = self._path.with_suffix(".incoming")
        incoming.write_bytes(msgspec.json.encode(self._versions))
        os.replace(incoming, self._path)
