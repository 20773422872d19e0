"""The model package: a folder with a manifest, that proves what it claims when it is opened.

manifest.json            facts, evidence and the hash of everything below
golden/0000.jpg …        encoded pictures, exactly as a client would send them
<variant>/model.onnx     the graph
<variant>/golden.npz     what it answered to the golden pictures
<variant>/profile.json   how its signals are distributed on held-out data
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec
import numpy as np

from registry.manifest import SCHEMA_VERSION, FileRecord, Manifest, Variant
from tasks.errors import InvalidPackage
from tasks.task import Array, TaskSpec, parse_spec

MANIFEST_NAME = "manifest.json"


class ModelPackage:
    """An opened package. Everything it hands out was checked against the manifest's hashes."""

    def __init__(self, folder: Path, manifest: Manifest, digest: str) -> None:
        self.folder = folder
        self.manifest = manifest
        self.digest = digest
        """sha256 of manifest.json, which holds the hash of every other file: one digest for the whole package."""
        self.task_spec: TaskSpec = parse_spec(manifest.task)

    def graph_path(self, variant: str, role: str = "main") -> Path:
        return self.folder / self.variant(variant).graphs[role].file

    def variant(self, name: str) -> Variant:
        """Raises InvalidPackage for a variant the package does not have."""
        if name not in self.manifest.variants:
            known = ", ".join(self.manifest.variants)
            raise InvalidPackage(f"package {self.manifest.name!r} has no variant {name!r}; it has {known}")
        return self.manifest.variants[name]

    def golden_inputs(self) -> list[bytes]:
        """The encoded golden pictures, in order."""
        return [(self.folder / file).read_bytes() for file in self.manifest.golden_inputs]

    def golden_outputs(self, variant: str) -> dict[str, Array]:
        """Output name → array [golden inputs, …] as the exporting host computed it."""
        with np.load(self.folder / self.variant(variant).golden.file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}

    def profile_bytes(self, variant: str) -> bytes:
        """The reference profile of a variant, as `monitoring.profile.decode_profile` reads it."""
        return (self.folder / self.variant(variant).profile).read_bytes()


def open_package(folder: Path) -> ModelPackage:
    """Read and verify a package. Raises InvalidPackage for anything that is not exactly as it was sealed."""
    manifest_path = folder / MANIFEST_NAME
    if not manifest_path.is_file():
        raise InvalidPackage(f"{folder} is not a model package: it has no {MANIFEST_NAME}")
    encoded = manifest_path.read_bytes()
    manifest = parse_manifest(encoded, manifest_path)
    check_references(manifest)
    check_files(folder, manifest)
    return ModelPackage(folder, manifest, hashlib.sha256(encoded).hexdigest())


def seal_package(folder: Path, manifest: Manifest) -> ModelPackage:
    """Record the hash of every file in `folder`, write the manifest last and open the result."""
    files = {name: record_of(folder / name) for name in sorted(list_files(folder))}
    sealed = msgspec.structs.replace(manifest, files=files)
    encoded = msgspec.json.format(msgspec.json.encode(sealed), indent=1)
    (folder / MANIFEST_NAME).write_bytes(encoded + b"\n")
    return open_package(folder)


def parse_manifest(encoded: bytes, path: Path) -> Manifest:
    """Version first, so that a package of the future says so instead of failing on some field."""
    try:
        version = msgspec.json.decode(encoded, type=dict[str, msgspec.Raw]).get("schema_version", msgspec.Raw(b"null"))
        if bytes(version) != str(SCHEMA_VERSION).encode():
            raise InvalidPackage(
                f"{path}: schema version {bytes(version).decode()} is unknown; this release reads version "
                f"{SCHEMA_VERSION}: upgrade Tidegate or export the model again"
            )
        return msgspec.json.decode(encoded, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidPackage(f"{path} is not a valid manifest: {error}") from error


def check_references(manifest: Manifest) -> None:
    """Every path that the manifest mentions must be one of its files."""
    for name, variant in manifest.variants.items():
        graphs = [file for graph in variant.graphs.values() for file in (graph.file, *graph.data_files)]
        for file in (*graphs, variant.golden.file, variant.profile):
            if file not in manifest.files:
                raise InvalidPackage(f"variant {name!r} refers to {file!r}, which the manifest does not list")
    for file in manifest.golden_inputs:
        if file not in manifest.files:
            raise InvalidPackage(f"golden input {file!r} is not listed among the manifest's files")
    if not manifest.variants:
        raise InvalidPackage("the package has no variant to run")


def check_files(folder: Path, manifest: Manifest) -> None:
    """Exactly the listed files, each with the recorded bytes, none outside the folder."""
    for name in manifest.files:
        if not is_inside(name):
            raise InvalidPackage(f"the manifest lists {name!r}, which leads out of the package folder")
    present, listed = set(list_files(folder)), set(manifest.files)
    if missing := sorted(listed - present):
        raise InvalidPackage(f"{folder}: missing {', '.join(missing)}; copy the package again")
    if extra := sorted(present - listed):
        raise InvalidPackage(f"{folder}: {', '.join(extra)} not in the manifest; a package holds nothing else")
    for name, expected in manifest.files.items():
        if record_of(folder / name) != expected:
            raise InvalidPackage(f"{folder / name} was altered: its hash is not the one in the manifest")


def is_inside(name: str) -> bool:
    """A plain relative path in its shortest spelling?"""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and str(path) == name and "\\" not in name


def list_files(folder: Path) -> Iterator[str]:
    """Relative paths of all files but the manifest. A link could change behind our back, so it is refused."""
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise InvalidPackage(f"{path} is a symbolic link; a package holds plain files only")
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST_NAME:
            yield name


def record_of(path: Path) -> FileRecord:
    with path.open("rb") as file:
        return FileRecord(sha256=hashlib.file_digest(file, "sha256").hexdigest(), num_bytes=path.stat().st_size)
