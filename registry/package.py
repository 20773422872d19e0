"""The model package: a folder with a manifest, that proves what it claims when it is opened.

manifest.json            facts, evidence and the hash of everything below
tokenizer.json …         what the task itself needs, of a model that generates
golden/0000.jpg …        encoded pictures or prompts, exactly as a client would send them
<variant>/model.onnx     the graph, or several by their roles; or coded, see registry/coded_graph.py
<variant>/golden.npz     what it answered to the golden inputs
<variant>/profile.json   how its signals are distributed on held-out data

Opening reads and hashes every file once; graphs and golden inputs are read again when they are used. Whoever can write
to the folder in between can change what runs, so packages are served from a folder that only the server writes to
(the cache of a store), or from a volume mounted read-only. A hash proves that nothing was damaged or swapped since the
package was sealed; it does not prove who sealed it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec

from registry.decoder_roles import check_roles
from registry.golden import check_continuation, read_golden_outputs
from registry.manifest import SCHEMA_VERSION, FileRecord, Graph, Manifest, Variant
from registry.references import check_references
from tasks.errors import InvalidPackage
from tasks.generation import GenerativeTask, open_generative_task
from tasks.generative_spec import GenerativeSpec
from tasks.task import Array, TaskSpec, open_task, parse_spec

MANIFEST_NAME = "manifest.json"
MAX_MANIFEST_BYTES = 64 * 2**20


class ModelPackage:
    """An opened package. Everything it hands out was checked against the manifest's hashes."""

    def __init__(self, folder: Path, manifest: Manifest, digest: str) -> None:
        self.folder = folder
        self.manifest = manifest
        self.digest = digest
        """sha256 of manifest.json, which holds the hash of every other file: one digest for the whole package."""
        self.task_spec: TaskSpec = parse_spec(manifest.task)

    def graph(self, variant: str, role: str = "main") -> Graph:
        """Raises InvalidPackage for a role that the variant does not have."""
        graphs = self.variant(variant).graphs
        if role not in graphs:
            raise InvalidPackage(f"variant {variant!r} has no graph {role!r}; it has {', '.join(graphs)}")
        return graphs[role]

    def graph_path(self, variant: str, role: str = "main") -> Path:
        """The file as it is stored: ONNX, or a coded graph (see `registry.plain_graph` for one that others read)."""
        return self.folder / self.graph(variant, role).file

    def variant(self, name: str) -> Variant:
        """Raises InvalidPackage for a variant the package does not have."""
        if name not in self.manifest.variants:
            known = ", ".join(self.manifest.variants)
            raise InvalidPackage(f"package {self.manifest.name!r} has no variant {name!r}; it has {known}")
        return self.manifest.variants[name]

    def task_spec_of(self, variant: str) -> TaskSpec:
        """The task as this variant's graph leaves it to be done."""
        own = self.variant(variant).task
        return self.task_spec if own is None else parse_spec(own)

    def open_generative_task(self, variant: str) -> GenerativeTask:
        """The task of a model that generates, with its files. Raises InvalidPackage for any other model."""
        return open_generative_task(self.task_spec_of(variant), self.folder)

    def golden_inputs(self) -> list[bytes]:
        """The golden inputs as a client would send them, in order: encoded pictures, or prompts in UTF-8."""
        return [(self.folder / file).read_bytes() for file in self.manifest.golden_inputs]

    def golden_outputs(self, variant: str) -> dict[str, Array]:
        """Output name → array [golden inputs, …] as the exporting host computed it."""
        golden = self.variant(variant).golden
        names, num_inputs = golden.max_abs_difference, len(self.manifest.golden_inputs)
        return read_golden_outputs(self.folder / golden.file, names, num_inputs)

    def profile_bytes(self, variant: str) -> bytes:
        """The reference profile of a variant, as `monitoring.profile.decode_profile` reads it."""
        return (self.folder / self.variant(variant).profile).read_bytes()


def open_package(folder: Path) -> ModelPackage:
    """Read and verify a package. Raises InvalidPackage for anything that is not exactly as it was sealed."""
    try:
        encoded = read_manifest(folder)
        manifest = parse_manifest(encoded, folder / MANIFEST_NAME)
        check_references(manifest)
        check_files(folder, manifest)
        package = ModelPackage(folder, manifest, hashlib.sha256(encoded).hexdigest())
        check_image_sizes(package)
        if isinstance(package.task_spec, GenerativeSpec):
            check_generative(package, package.task_spec)
        else:
            for name, variant in manifest.variants.items():
                package.golden_outputs(name)
                check_task(package, name, variant)
    except OSError as error:
        raise InvalidPackage(f"{folder} can not be read as a model package: {error}") from error
    return package


def check_task(package: ModelPackage, name: str, variant: Variant) -> None:
    """Raises InvalidPackage for a variant that claims to be of another task, or that names other classes."""
    own, whole = package.task_spec_of(name), package.task_spec
    if type(own) is not type(whole) or open_task(own).labels != open_task(whole).labels:
        raise InvalidPackage(
            f"variant {name!r} has a task of its own with another kind or other labels: {variant.task}"
        )


def check_image_sizes(package: ModelPackage) -> None:
    """Raises InvalidPackage for a model of pictures without any size, and for sizes of a model that takes none."""
    if hasattr(package.task_spec, "image") != bool(package.manifest.image_sizes):
        wanted = "none: it takes no pictures" if package.manifest.image_sizes else "one or more"
        sizes = [list(size) for size in package.manifest.image_sizes]
        raise InvalidPackage(f"image_sizes of {package.manifest.name!r} are {sizes}; there must be {wanted}")


def check_generative(package: ModelPackage, spec: GenerativeSpec) -> None:
    """Raises InvalidPackage for a model that lacks what generating takes: files of the task, roles, golden text."""
    manifest = package.manifest
    for file in spec.files:
        if file not in manifest.files:
            raise InvalidPackage(f"the task refers to {file!r}, which the manifest does not list")
    has_encoder = open_generative_task(spec, package.folder).encoder is not None
    for name, variant in manifest.variants.items():
        check_roles(name, variant, spec, has_encoder)
        check_continuation(package.folder / variant.golden.file, package.golden_outputs(name), spec)


def seal_package(folder: Path, manifest: Manifest) -> ModelPackage:
    """Record the hash of every file in `folder`, write the manifest last and open the result."""
    files = {name: record_of(folder / name) for name in sorted(list_files(folder))}
    sealed = msgspec.structs.replace(manifest, files=files)
    encoded = msgspec.json.format(msgspec.json.encode(sealed), indent=1)
    (folder / MANIFEST_NAME).write_bytes(encoded + b"\n")
    return open_package(folder)


def read_manifest(folder: Path) -> bytes:
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise InvalidPackage(f"{folder} is not a model package: it has no {MANIFEST_NAME}")
    if (num_bytes := path.stat().st_size) > MAX_MANIFEST_BYTES:
        raise InvalidPackage(f"{path} has {num_bytes:,} bytes; at most {MAX_MANIFEST_BYTES:,} are read")
    return path.read_bytes()


def parse_manifest(encoded: bytes, path: Path) -> Manifest:
    """Version first, so that a package of the future says so instead of failing on some field."""
    try:
        version = msgspec.json.decode(encoded, type=dict[str, msgspec.Raw]).get("schema_version", msgspec.Raw(b"null"))
        if bytes(version) != str(SCHEMA_VERSION).encode():
            raise InvalidPackage(
                f"{path}: schema version {bytes(version)[:40].decode(errors='replace')} is unknown; this release "
                f"reads version {SCHEMA_VERSION}: upgrade Tidegate or export the model again"
            )
        return msgspec.json.decode(encoded, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidPackage(f"{path} is not a valid manifest: {error}") from error


def check_files(folder: Path, manifest: Manifest) -> None:
    """Exactly the listed files, each with the recorded bytes, none outside the folder."""
    for name in manifest.files:
        if not is_inside(name):
            raise InvalidPackage(f"the manifest lists {name!r}, which leads out of the package folder")
    present, listed = set(list_files(folder)), set(manifest.files)
    if missing := sorted(listed - present):
        raise InvalidPackage(f"{folder}: missing {quoted(missing)}; copy the package again")
    if extra := sorted(present - listed):
        raise InvalidPackage(f"{folder}: {quoted(extra)} not in the manifest; a package holds nothing else")
    for name, expected in manifest.files.items():
        check_file(folder / name, expected)


def check_file(path: Path, expected: FileRecord) -> None:
    """Length first: it is free, and tells a broken copy from an altered file."""
    num_bytes = path.stat().st_size
    if num_bytes != expected.num_bytes:
        raise InvalidPackage(
            f"{path} was altered: it has {num_bytes} bytes, the manifest says {expected.num_bytes}; copy it again"
        )
    if sha256_of(path) != expected.sha256:
        raise InvalidPackage(f"{path} was altered: its hash is not the one in the manifest; copy the package again")


def quoted(names: list[str]) -> str:
    """The first few. Quoted, because a file's name may be of any bytes."""
    more = len(names) - 5
    return ", ".join(repr(name[:100]) for name in names[:5]) + (f" and {more} more" if more > 0 else "")


def is_inside(name: str) -> bool:
    """A plain relative path in its shortest spelling?"""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and str(path) == name and "\\" not in name


def list_files(folder: Path) -> Iterator[str]:
    """Relative paths of all files but the manifest. A link could change behind our back, so it is refused."""
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise InvalidPackage(f"{path} is a symbolic link; a package holds plain files only")
        if path.is_dir():
            continue
        if not path.is_file():
            raise InvalidPackage(f"{path} is neither a file nor a folder; a package holds plain files only")
        name = path.relative_to(folder).as_posix()
        if name != MANIFEST_NAME:
            yield name


def record_of(path: Path) -> FileRecord:
    """The hash and the length of a file as it is now."""
    return FileRecord(sha256=sha256_of(path), num_bytes=path.stat().st_size)


def sha256_of(path: Path) -> str:
    """Of a manifest: the digest of its package."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
