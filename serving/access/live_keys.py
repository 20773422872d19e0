"""The keys of a running server: those of its file, as it is now or as it last was right."""

from __future__ import annotations

import logging
from pathlib import Path

from serving.access.counts import AccessCounts
from serving.access.key_file import KeyEntries, exposure_of, read_key_file
from serving.access.keyring import Keyring
from serving.file_watch import FileWatch
from tasks.errors import InvalidRecipe

log = logging.getLogger(__name__)


class LiveKeys:
    """`keyring` is replaced as a whole while requests are answered. A bad file at the start is InvalidRecipe."""

    def __init__(self, path: Path, counts: AccessCounts) -> None:
        self._path, self._counts = path, counts
        self.watch = FileWatch((path,), self.reread)
        self.keyring = Keyring({}, counts)
        self._take(read_key_file(path))

    def reread(self) -> None:
        """The file has changed. A bad one changes nothing and is complained about, in the log and as a metric."""
        try:
            self._take(read_key_file(self._path))
        except InvalidRecipe as error:
            self._counts.key_file_ok = False
            log.error("%s; the keys read before, %d, stay valid", error, len(self.keyring.accounts))

    def _take(self, entries: KeyEntries) -> None:
        self._counts.know_keys(entry.name for entry in entries.values())
        self.keyring = Keyring(entries, self._counts, self.keyring.accounts)
        self._counts.key_file_ok = True
        log.info("key file %s read, keys: %d", self._path, len(entries))
        if not entries:
            log.warning("key file %s holds no keys: only the administrator's token lets in", self._path)
        if exposure := exposure_of(self._path):
            log.warning(exposure)
