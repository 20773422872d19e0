"""The file of API keys: TOML, a table for each key under its id. It holds no key, only what proves one.

[keys.3f2a9c0d1e4b]
name = "shop"
role = "predict"
sha256 = "9d64…"
created = 2026-11-21T18:00:00Z
rate = 50.0
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from registry.manifest import Name, Sha256
from serving.access.caller import Role
from tasks.errors import InvalidRecipe

KeyId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{12}\Z")]
MAX_RATE = 1_000_000
Rate = Annotated[float, msgspec.Meta(gt=0, le=MAX_RATE)]
OPEN_TO_OTHERS = stat.S_IRWXO | stat.S_IWGRP
"""Reading tells names, and writing adds keys. A group may read: that is how Kubernetes hands secrets to a user."""


class KeyEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key, as its file has it."""

    name: Name
    role: Role
    sha256: Sha256
    """Of the secret's 64 hexadecimal digits."""
    created: Annotated[datetime, msgspec.Meta(tz=True)]
    rate: Rate | None = None
    """Requests a second; None: as many as come."""


KeyEntries = dict[KeyId, KeyEntry]


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole document. `keys` must be there: a file that is being written may be empty for a moment."""

    keys: KeyEntries


def read_key_file(path: Path) -> KeyEntries:
    """All keys by their ids. Raises InvalidRecipe that names the file and what is wrong with it."""
    try:
        return parse_keys(path.read_bytes())
    except FileNotFoundError as error:
        raise InvalidRecipe(
            f"key file {path}: there is none; `tidegate keys add NAME --file {path}` makes one"
        ) from error
    except OSError as error:
        raise InvalidRecipe(f"key file {path} can not be read: {error.strerror}") from error
    except InvalidRecipe as error:
        raise InvalidRecipe(f"key file {path}: {error}") from error


def parse_keys(document: bytes) -> KeyEntries:
    """Raises InvalidRecipe for what is no TOML, has a wrong field, or gives two keys one name."""
    try:
        entries = msgspec.convert(tomllib.loads(document.decode("utf-8")), KeyFile).keys
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidRecipe(f"this is no TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise InvalidRecipe(str(error)) from error
    repeated = [name for name, times in Counter(entry.name for entry in entries.values()).items() if times > 1]
    if repeated:
        raise InvalidRecipe(f"two keys have the name {repeated[0]!r}; each needs one of its own")
    return entries


def format_keys(entries: Mapping[str, KeyEntry]) -> bytes:
    """The document. Every text in it is of a pattern that TOML need not escape."""
    lines = ["# Written by `tidegate keys`. It holds no key, only what proves one.", "[keys]"]
    for key_id, entry in entries.items():
        created = entry.created.isoformat(timespec="seconds")
        lines += ["", f"[keys.{key_id}]", f'name = "{entry.name}"', f'role = "{entry.role}"']
        lines += [f'sha256 = "{entry.sha256}"', f"created = {created}"]
        if entry.rate is not None:
            lines.append(f"rate = {float(entry.rate)!r}")
    return ("\n".join(lines) + "\n").encode()


@contextlib.contextmanager
def edit_key_file(path: Path) -> Iterator[KeyEntries]:
    """The keys of a file, none where there is no file yet; what they are at the end is written.

    One edit at a time: a lock on the folder makes others wait. Raises InvalidRecipe for a bad file or no such folder.
    """
    path = path.resolve()
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InvalidRecipe(f"key file {path}: there is no folder {path.parent}; make it first") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        entries = read_key_file(path) if path.exists() else {}
        yield entries
        replace_file(path, format_keys(entries))
    finally:
        os.close(folder)


def replace_file(path: Path, content: bytes) -> None:
    """Readers find the old file or the new one, and nobody but its owner may read it (mode 0600)."""
    descriptor, incoming = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(incoming, path)
    except BaseException:
        os.unlink(incoming)
        raise


def exposure_of(path: Path) -> str:
    """What is wrong with who may read or write the file, as a sentence; empty if nothing is."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & OPEN_TO_OTHERS:
        return ""
    return f"key file {path} has mode {mode:04o}, open to others than its owner: chmod 600 {path}"
