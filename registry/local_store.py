"""The local store: a plain folder of packages. All that a server alone needs, and what a volume or a copy gives it.

<root>/<name>/<version>/manifest.json …   the packages; versions are numbers from 1
<root>/<name>/aliases/<alias>             one line: the version it points to
<root>/<name>/events/<id>.json            one promotion event each, never changed
<root>/<name>/locks/<key>.json            claims on the lock of this model, see registry/lock.py
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from registry.event import PromotionEvent, decode_record
from registry.lock import LockRecord
from registry.package import MANIFEST_NAME, ModelPackage, open_package, sha256_of
from registry.package_cache import open_as
from registry.reference import NAME, VERSION, ModelRef, VersionInfo, check_alias, check_name, no_such_version
from tasks.errors import InvalidPackage, NotFound, NotReady


class LocalStore:
    """PackageStore on a folder. Safe for several processes at once: every write is a rename or a file of its own.

    The folder is created by the first write. Reading one that is not there raises NotReady (a volume not mounted).
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def names(self) -> list[str]:
        """Every model with at least one version, sorted."""
        with readable(self.root):
            folders = [entry.name for entry in self.root.iterdir() if NAME.fullmatch(entry.name) and entry.is_dir()]
            return sorted(name for name in folders if self.version_numbers(name))

    def versions(self, name: str) -> list[VersionInfo]:
        """Oldest first. Raises NotFound for a model that is not there."""
        check_name(name, name)
        with readable(self.root):
            aliases = self.aliases(name)
            known = [self.info(name, version, aliases) for version in self.version_numbers(name)]
            if not known:
                raise NotFound(f"no model {name!r} in {self.root}; it has {', '.join(self.names()) or 'none'}")
            return known

    def resolve(self, ref: ModelRef) -> VersionInfo:
        """The version that a reference means now. Raises NotFound, with what there is."""
        with readable(self.root):
            aliases = self.aliases(ref.name)
            version = ref.version or aliases.get(ref.alias or "")
            if version is None or not (self.folder(ref.name, version) / MANIFEST_NAME).is_file():
                raise no_such_version(ref, self.versions(ref.name))
            return self.info(ref.name, version, aliases)

    def fetch(self, info: VersionInfo, cache: Path) -> ModelPackage:
        """Opened and verified where it lies: a copy in `cache` would only cost disk."""
        folder = self.folder(info.name, info.version)
        with readable(self.root):
            if not folder.is_dir():
                raise NotFound(f"{info} is no longer in {self.root}")
            return open_as(folder, info)

    def publish(self, folder: Path, run_id: str = "", tags: Mapping[str, str] | None = None) -> VersionInfo:
        """Copy a package in as the next version of the model it names. Lineage is in its manifest: no tags are kept."""
        package = open_package(folder)
        name = package.manifest.name
        home = self.root / name
        home.mkdir(parents=True, exist_ok=True)
        incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=home))
        try:
            shutil.copytree(folder, incoming / "package")
            if open_package(incoming / "package").digest != package.digest:
                raise InvalidPackage(f"{folder} changed while it was being published")
            version = self.claim_version(name, incoming / "package")
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
        return self.info(name, version, self.aliases(name))

    def claim_version(self, name: str, package: Path) -> str:
        """Rename a complete copy to the next free number: a folder that is not empty is never renamed over."""
        while True:
            # Counted by folder, manifest or not: what is left of a deleted version still has its number.
            taken = [int(entry.name) for entry in (self.root / name).iterdir() if VERSION.fullmatch(entry.name)]
            version = str(max(taken, default=0) + 1)
            try:
                package.rename(self.folder(name, version))
                return version
            except OSError:
                if not self.folder(name, version).exists():
                    raise

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version, at once for every reader. Raises NotFound for a version that is not there."""
        check_alias(alias, f"{name}@{alias}")
        self.resolve(ModelRef(name=name, version=version))
        write_atomically(self.root / name / "aliases" / alias, f"{version}\n".encode())

    def delete_alias(self, name: str, alias: str) -> None:
        (self.root / name / "aliases" / check_alias(alias, f"{name}@{alias}")).unlink(missing_ok=True)

    def events(self, name: str) -> list[PromotionEvent]:
        """Oldest first."""
        with readable(self.root):
            files = sorted((self.root / check_name(name, name) / "events").glob("*.json"))
            return [decode_record(file.read_bytes(), PromotionEvent, str(file)) for file in files]

    def append_event(self, event: PromotionEvent) -> None:
        write_atomically(self.root / event.name / "events" / f"{event.id}.json", msgspec.json.encode(event))

    def lock_records(self, name: str) -> dict[str, LockRecord]:
        records = {}
        for file in (self.root / name / "locks").glob("*.json"):
            try:
                records[file.stem] = decode_record(file.read_bytes(), LockRecord, str(file))
            except FileNotFoundError:
                continue  # dropped by its owner since the listing
        return records

    def put_lock(self, name: str, key: str, record: LockRecord) -> None:
        write_atomically(self.root / name / "locks" / f"{key}.json", msgspec.json.encode(record))

    def drop_lock(self, name: str, key: str) -> None:
        (self.root / name / "locks" / f"{key}.json").unlink(missing_ok=True)

    def folder(self, name: str, version: str) -> Path:
        return self.root / name / version

    def version_numbers(self, name: str) -> list[str]:
        home = self.root / name
        found = [f.name for f in home.glob("*") if VERSION.fullmatch(f.name) and (f / MANIFEST_NAME).is_file()]
        return sorted(found, key=int)

    def aliases(self, name: str) -> dict[str, str]:
        """Alias → version."""
        found = {}
        for file in (self.root / name / "aliases").glob("[!.]*"):
            # One that is not UTF-8 points to no version, and is treated like one that points to a deleted version.
            with suppress(FileNotFoundError):  # deleted since the listing
                found[file.name] = file.read_text("utf-8", errors="replace").strip()
        return found

    def info(self, name: str, version: str, aliases: Mapping[str, str]) -> VersionInfo:
        manifest = self.folder(name, version) / MANIFEST_NAME
        written = datetime.fromtimestamp(manifest.stat().st_mtime, UTC)
        return VersionInfo(
            name=name,
            version=version,
            digest=sha256_of(manifest),
            created_at=written.isoformat(timespec="seconds"),
            aliases=tuple(sorted(alias for alias, target in aliases.items() if target == version)),
        )


@contextmanager
def readable(root: Path) -> Iterator[None]:
    """A folder that is missing or fails to answer is a store that can not be reached."""
    if not root.is_dir():
        raise NotReady(f"{root} is not a folder of packages; expected {root}/<name>/<version>/{MANIFEST_NAME}")
    try:
        yield
    except OSError as error:
        raise NotReady(f"{root} can not be read: {error}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Readers see the old bytes or the new ones. Raises NotReady when the folder can not be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not by tempfile, whose files none but their owner can read: a server often runs under another account.
        temporary = path.with_name(f".{uuid.uuid4().hex}")
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise NotReady(f"{path} can not be written: {error}") from error
