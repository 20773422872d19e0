"""The embedded store: MLflow's sqlite file, read without importing MLflow.

MLflow takes two seconds to import and its database layer one more, which a command that lists models, and a server
that restarts, should not pay. Reading a handful of its tables is a matter of milliseconds. Writing is left to MLflow.
A database whose schema this file does not know is MLflow's alone, see `can_read`.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlparse
from urllib.request import url2pathname

from registry.event import PromotionEvent
from registry.lock import LockRecord
from registry.mlflow_tags import DIGEST_TAG, PACKAGE_TAG, events_of, locks_of
from registry.package import ModelPackage
from registry.package_cache import fetch_into
from registry.reference import ModelRef, VersionInfo, check_name, no_such_version
from tasks.errors import NotFound, NotReady

KNOWN_SCHEMAS = frozenset({"dc11669786a5"})
"""Alembic's revision of the schemas that were tested: MLflow 3.17."""
PACKAGE_PATH = "data/package"
BUSY_TIMEOUT_S = 10.0

VERSIONS = """
    SELECT v.version, v.creation_time, v.run_id, t.value AS digest
    FROM model_versions v JOIN model_version_tags t ON t.name = v.name AND t.version = v.version AND t.key = ?
    WHERE v.name = ? AND v.workspace = 'default' AND t.workspace = 'default' AND v.current_stage <> 'Deleted_Internal'
    ORDER BY v.version
"""


def can_read(database: Path) -> bool:
    """Is this a database of a known schema? A file that is not there holds no models, which is known as well."""
    if not database.exists():
        return True
    try:
        with opened(database) as connection:
            revisions = {row["version_num"] for row in connection.execute("SELECT version_num FROM alembic_version")}
    except NotReady:
        return False
    return bool(revisions) and revisions <= KNOWN_SCHEMAS


class EmbeddedStore:
    """PackageStore on a local sqlite database of MLflow and the folder of its artifacts."""

    def __init__(self, uri: str, database: Path) -> None:
        self.uri, self.database = uri, database

    def __str__(self) -> str:
        return self.uri

    def names(self) -> list[str]:
        query = "SELECT name FROM registered_model_tags WHERE key = ? AND value = '1' AND workspace = 'default'"
        return sorted(row["name"] for row in self.rows(query, PACKAGE_TAG))

    def versions(self, name: str) -> list[VersionInfo]:
        """Oldest first. Raises NotFound for a model that is not there."""
        check_name(name, name)
        aliases = self.aliases(name)
        known = [describe(name, row, aliases) for row in self.rows(VERSIONS, DIGEST_TAG, name)]
        if not known and name not in self.names():
            raise NotFound(f"no model {name!r} in {self.database}; it has {', '.join(self.names()) or 'none'}")
        return known

    def resolve(self, ref: ModelRef) -> VersionInfo:
        known = self.versions(ref.name)
        for info in known:
            if info.version == ref.version or ref.alias in info.aliases:
                return info
        raise no_such_version(ref, known)

    def fetch(self, info: VersionInfo, cache: Path) -> ModelPackage:
        """The package, verified against the digest it was registered with, copied into `cache`."""

        def copy(folder: Path) -> Path:
            source = self.artifact_folder(info) / PACKAGE_PATH
            if not source.is_dir():
                raise NotFound(f"{info} has no package at {source}; was the folder of artifacts moved?")
            return Path(shutil.copytree(source, folder / "package"))

        return fetch_into(cache, info, copy)

    def events(self, name: str) -> list[PromotionEvent]:
        return events_of(self.tags(name))

    def lock_records(self, name: str) -> dict[str, LockRecord]:
        return locks_of(self.tags(name))

    def publish(self, folder: Path, run_id: str = "", tags: Mapping[str, str] | None = None) -> VersionInfo:
        published: VersionInfo = self.writer.publish(folder, run_id, tags)
        return published

    def set_alias(self, name: str, alias: str, version: str) -> None:
        self.writer.set_alias(name, alias, version)

    def delete_alias(self, name: str, alias: str) -> None:
        self.writer.delete_alias(name, alias)

    def append_event(self, event: PromotionEvent) -> None:
        self.writer.append_event(event)

    def put_lock(self, name: str, key: str, record: LockRecord) -> None:
        self.writer.put_lock(name, key, record)

    def drop_lock(self, name: str, key: str) -> None:
        self.writer.drop_lock(name, key)

    @cached_property
    def writer(self) -> Any:
        """MLflow itself, once something is to be written."""
        from registry.mlflow_store import MlflowStore

        return MlflowStore(self.uri)

    def aliases(self, name: str) -> dict[str, str]:
        """Alias → version."""
        query = "SELECT alias, version FROM registered_model_aliases WHERE name = ? AND workspace = 'default'"
        return {row["alias"]: str(row["version"]) for row in self.rows(query, name)}

    def tags(self, name: str) -> dict[str, str]:
        query = "SELECT key, value FROM registered_model_tags WHERE name = ? AND workspace = 'default'"
        return {row["key"]: row["value"] for row in self.rows(query, name)}

    def artifact_folder(self, info: VersionInfo) -> Path:
        """Where MLflow keeps the files of a version. Raises NotFound."""
        query = (
            "SELECT storage_location, source FROM model_versions WHERE name = ? AND version = ? "
            "AND workspace = 'default' AND current_stage <> 'Deleted_Internal'"
        )
        for row in self.rows(query, info.name, int(info.version)):
            location = row["storage_location"] or row["source"]
            if location.startswith("models:/"):
                query = "SELECT artifact_location FROM logged_models WHERE model_id = ?"
                location = self.rows(query, location.removeprefix("models:/"))[0]["artifact_location"]
            return Path(url2pathname(urlparse(location).path))
        raise NotFound(f"{info} is no longer in {self.database}")

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        if not self.database.exists():
            return []
        with opened(self.database) as connection:
            return connection.execute(query, values).fetchall()


@contextmanager
def opened(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection that writes nothing of its own. Raises NotReady where the file can not be read.

    It may take back what a writer that was killed has left half-written, where this user may: nobody could read the
    database before that is done."""
    try:
        address = f"file:{quote(str(database.resolve()))}?mode=rw"
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S)
        connection.row_factory = sqlite3.Row
        try:
            connection.execute("PRAGMA query_only = ON")
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise NotReady(f"{database} can not be read: {error}") from error


def describe(name: str, row: sqlite3.Row, aliases: Mapping[str, str]) -> VersionInfo:
    version = str(row["version"])
    return VersionInfo(
        name=name,
        version=version,
        digest=row["digest"],
        created_at=datetime.fromtimestamp(row["creation_time"] / 1000, UTC).isoformat(timespec="seconds"),
        aliases=tuple(sorted(alias for alias, target in aliases.items() if target == version)),
        run_id=row["run_id"] or "",
    )
