"""The folder of built engines, beside the packages.

<package digest>/<variant>-<role>-<facts>/engine.plan    the engine
<package digest>/<variant>-<role>-<facts>/engine.json    what it is, and the hash of the plan
timing/<host>.cache                                      times of kernels, which make the next build shorter

An entry is written under another name and renamed when it is complete, and nothing that did not pass the golden replay
gets there. Everything in the folder can be built again: it may be deleted at any time. The layout is that of the
package cache, whose `evict` keeps this folder within a budget too.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

from registry.manifest import FileRecord
from registry.package import record_of
from registry.package_cache import discard
from serving.engines.engine_key import EngineKey
from tasks.errors import NotFound, NotReady

PLAN, INDEX = "engine.plan", "engine.json"
INCOMING = "incoming-"
ATTEMPTS = 3
log = logging.getLogger(__name__)


class EngineRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The facts of one engine. `num_profiles`: how many sets of shapes it was built for."""

    key: EngineKey
    plan: FileRecord
    num_profiles: int
    build_s: float
    built_at: str


class EngineCache:
    """See above. Several processes may use one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, key: EngineKey) -> Path:
        """The plan of an engine, whole and of exactly this key. Raises NotFound saying what is there instead."""
        entry = self.folder / key.folder
        try:
            record = msgspec.json.decode((entry / INDEX).read_bytes(), type=EngineRecord)
            found = record_of(entry / PLAN)
        except FileNotFoundError:
            raise NotFound(f"no engine was built: {self._others(key)}") from None
        except (OSError, msgspec.MsgspecError) as error:
            raise NotFound(f"the engine that was built can not be read: {error} ({entry})") from error
        if record.key != key or found != record.plan:
            raise NotFound(f"the engine was damaged or swapped since it was built; build it again ({entry})")
        with suppress(OSError):  # a server may have been given the folder to read only
            os.utime(entry.parent)  # what `evict` goes by
        return entry / PLAN

    def keep(self, key: EngineKey, plan: bytes, num_profiles: int, build_s: float, built_at: str) -> None:
        """Put an engine in, instead of any other of the same key. Raises NotReady where the disk does not take it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            incoming = Path(tempfile.mkdtemp(prefix=INCOMING, dir=self.folder))
            incoming.chmod(0o755)  # whoever builds is not always who serves
            try:
                (incoming / PLAN).write_bytes(plan)
                record = EngineRecord(
                    key=key,
                    plan=record_of(incoming / PLAN),
                    num_profiles=num_profiles,
                    build_s=round(build_s, 1),
                    built_at=built_at,
                )
                (incoming / INDEX).write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
                self._put_in_place(incoming, self.folder / key.folder)
            finally:
                shutil.rmtree(incoming, ignore_errors=True)
        except OSError as error:
            raise NotReady(f"the engine can not be kept in {self.folder}: {error}") from error

    def move_to(self, other: EngineCache, key: EngineKey) -> None:
        """Hand an engine over. Raises NotReady where the disk does not take it."""
        try:
            self._put_in_place(self.folder / key.folder, other.folder / key.folder)
        except OSError as error:
            raise NotReady(f"the engine can not be moved to {other.folder}: {error}") from error

    def timings(self, key: EngineKey) -> bytes:
        """What is known of the speed of kernels on that host; empty if nothing."""
        try:
            return (self.folder / key.timing_file).read_bytes()
        except FileNotFoundError:
            return b""

    def keep_timings(self, key: EngineKey, timings: bytes) -> None:
        """Instead of those of before. A disk that does not take them makes the next build longer, and no more."""
        target = self.folder / key.timing_file
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor, incoming = tempfile.mkstemp(prefix=INCOMING, dir=target.parent)
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o644)
                file.write(timings)
            os.replace(incoming, target)
        except OSError as error:
            log.warning("the times of kernels can not be kept in %s: %s", target, error)

    def _put_in_place(self, incoming: Path, entry: Path) -> None:
        """Out of sight with what is there, then in with the new one: whoever looks in between finds none. Another
        process may have the same in mind; one of the two is there in the end."""
        entry.parent.mkdir(parents=True, exist_ok=True)
        for attempts_left in reversed(range(ATTEMPTS)):
            discard(entry)
            try:
                incoming.rename(entry)
                return
            except OSError:
                if not attempts_left or not entry.exists():
                    raise

    def _others(self, key: EngineKey) -> str:
        """For a message: what is wanted, and what engines of this graph there are."""
        pattern = f"{key.package}/{key.variant}-{key.role}-*/{INDEX}"
        keys = {describe(found) for path in self.folder.glob(pattern) if (found := key_of(path)) is not None}
        others = f"; there are engines for {' and '.join(sorted(keys))}" if keys else ""
        return f"wanted is one for {describe(key)}{others}"


def key_of(index: Path) -> EngineKey | None:
    try:
        return msgspec.json.decode(index.read_bytes(), type=EngineRecord).key
    except (OSError, msgspec.MsgspecError):
        return None


def describe(key: EngineKey) -> str:
    host, settings = key.host, key.settings
    return (
        f"{host.gpu} ({host.compute_capability}, {host.num_multiprocessors} multiprocessors), "
        f"TensorRT {host.tensorrt}, products in {settings.fp32_products}, level {settings.optimization_level}"
    )
