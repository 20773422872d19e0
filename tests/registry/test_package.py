"""A package opens exactly as it was sealed, or says what is wrong with it."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry.manifest import SCHEMA_VERSION
from registry.package import ModelPackage, open_package
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.self_test import replay_golden
from tasks.errors import InvalidPackage
from tasks.task import open_task

V1 = Path(__file__).parent / "packages" / "v1"


def refused(folder: Path, *words: str) -> None:
    """Opening raises InvalidPackage with all of these words in its message."""
    with pytest.raises(InvalidPackage) as caught:
        open_package(folder)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest, which nothing but its own content protects."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    change(manifest)
    path.write_text(json.dumps(manifest))


def put(folder: Path, name: str, content: bytes) -> None:
    """Replace a file together with its record, as somebody who builds packages of his own would."""
    (folder / name).write_bytes(content)
    record = {"sha256": hashlib.sha256(content).hexdigest(), "num_bytes": len(content)}
    rewrite(folder, lambda manifest: manifest["files"].update({name: record}))


def test_a_copy_opens_under_the_same_digest(built: ModelPackage, folder: Path) -> None:
    opened = open_package(folder)
    assert opened.digest == built.digest == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert len(opened.golden_inputs()) == len(opened.golden_outputs("fp32")["logits"]) == 4


def test_releases_before_rivals_and_own_tasks_read_packages_without_any(built: ModelPackage) -> None:
    """They refuse a field that they do not know, and servers may be older than who exports."""
    written = json.loads((built.folder / "manifest.json").read_bytes())
    assert "rivals" not in written
    assert "task" not in written["variants"]["fp32"]
    assert written["schema_version"] == SCHEMA_VERSION


def test_a_package_of_schema_version_1_opens_for_ever() -> None:
    package = open_package(V1)
    assert package.manifest.schema_version == 1
    for name in package.manifest.variants:
        runtime = OnnxRuntime(package.graph_path(name))
        replay_golden(package, name, open_task(package.task_spec), runtime)
        runtime.close()


def test_the_graph_and_variant_asked_for_must_be_there(built: ModelPackage) -> None:
    with pytest.raises(InvalidPackage, match="no variant 'int8'; it has fp32"):
        built.graph_path("int8")
    with pytest.raises(InvalidPackage, match="no graph 'decoder'; it has main"):
        built.graph_path("fp32", "decoder")


def test_no_folder_at_all(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "nowhere", "manifest.json")


def test_a_missing_file(folder: Path) -> None:
    (folder / "golden" / "0001.jpg").unlink()
    refused(folder, "missing", "golden/0001.jpg")


def test_an_extra_file(folder: Path) -> None:
    (folder / "fp32" / "notes.txt").write_text("by the way")
    refused(folder, "fp32/notes.txt", "not in the manifest")


def test_an_extra_file_whose_name_is_not_text(folder: Path) -> None:
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff\n"))).write_text("")
    refused(folder, "not in the manifest")


def test_a_thousand_extra_files_make_a_short_message(folder: Path) -> None:
    for i in range(1000):
        (folder / f"{i:04}").touch()
    refused(folder, "'0000'", "and 995 more")


@pytest.mark.parametrize("name", ["fp32/model.onnx", "golden/0000.jpg", "fp32/golden.npz", "fp32/profile.json"])
def test_an_altered_file(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    refused(folder, name, "was altered", "hash")


def test_a_truncated_file(folder: Path) -> None:
    os.truncate(folder / "fp32" / "model.onnx", 100)
    refused(folder, "fp32/model.onnx", "has 100 bytes")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_manifest(folder: Path, share: float) -> None:
    path = folder / "manifest.json"
    os.truncate(path, int(path.stat().st_size * share))
    refused(folder, "manifest.json", "not a valid manifest")


@pytest.mark.parametrize(
    "name", ["../outside.txt", "/etc/passwd", "golden/../../outside.txt", "a\\b", "", "./x", "a//b"]
)
def test_a_path_that_leads_out_of_the_folder(folder: Path, name: str) -> None:
    (folder.parent / "outside.txt").write_text("secret")
    record = {"sha256": hashlib.sha256(b"secret").hexdigest(), "num_bytes": 6}
    rewrite(folder, lambda manifest: manifest["files"].update({name: record}))
    refused(folder, repr(name), "leads out of the package folder")


@pytest.mark.parametrize("name", ["golden/0000.jpg", "manifest.json"])
def test_a_symbolic_link_to_the_very_same_bytes(folder: Path, name: str) -> None:
    (folder / name).rename(folder.parent / "elsewhere")
    (folder / name).symlink_to(folder.parent / "elsewhere")
    refused(folder, name, "symbolic link")


def test_a_linked_folder(folder: Path) -> None:
    (folder / "golden").rename(folder.parent / "elsewhere")
    (folder / "golden").symlink_to(folder.parent / "elsewhere")
    refused(folder, "golden", "symbolic link")


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    (folder / "golden" / "0000.jpg").unlink()
    os.mkfifo(folder / "golden" / "0000.jpg")
    refused(folder, "neither a file nor a folder")


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, "1", None, 1.5, [1]])
def test_an_unknown_schema_version_is_named_before_anything_else(folder: Path, version: object) -> None:
    rewrite(folder, lambda manifest: manifest.update(schema_version=version, of_the_future=True))
    refused(folder, "schema version", json.dumps(version), f"reads version {SCHEMA_VERSION}", "upgrade")


def test_a_manifest_without_schema_version(folder: Path) -> None:
    rewrite(folder, lambda manifest: manifest.pop("schema_version"))
    refused(folder, "schema version")


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "unknown field": (lambda m: m.update(licence="MIT"), "`licence`"),
    "unknown field deep down": (lambda m: m["variants"]["fp32"]["golden"].update(tolerance=1), "`tolerance`"),
    "missing field": (lambda m: m.pop("lineage"), "`lineage`"),
    "wrong type": (lambda m: m.update(batch_buckets="all"), "$.batch_buckets"),
    "unknown task": (lambda m: m["task"].update(kind="mind reading"), "task kind 'mind reading' is unknown"),
    "no task kind": (lambda m: m["task"].pop("kind"), "'kind'"),
    "wrong fact of the task": (lambda m: m["task"].update(labels=[1]), "labels"),
    "no variants": (lambda m: m.update(variants={}), "$.variants"),
    "no graphs": (lambda m: m["variants"]["fp32"].update(graphs={}), "graphs"),
    "no golden inputs": (lambda m: m.update(golden_inputs=[]), "$.golden_inputs"),
    "one golden input less": (lambda m: m["golden_inputs"].pop(), "4 answers, but there are 3 golden inputs"),
    "golden input not listed": (lambda m: m["golden_inputs"].append("x.jpg"), "'x.jpg' is not listed"),
    "profile not listed": (lambda m: m["variants"]["fp32"].update(profile="p.json"), "'p.json'"),
    "golden output of no graph": (lambda m: m["variants"]["fp32"]["golden"]["max_abs_difference"].update(x=1), "'x'"),
    "no golden outputs": (lambda m: m["variants"]["fp32"]["golden"].update(max_abs_difference={}), "one or more"),
    "golden outputs of another name": (
        lambda m: m["variants"]["fp32"]["golden"]["max_abs_difference"].pop("logits"),
        "holds outputs ['embedding', 'logits']",
    ),
    "negative tolerance": (
        lambda m: m["variants"]["fp32"]["golden"]["max_abs_difference"].update(logits=-1),
        "max_abs_difference",
    ),
    "NaN": (lambda m: m["variants"]["fp32"]["evidence"]["metrics"].update(accuracy=float("nan")), "not a valid"),
    "falling buckets": (lambda m: m.update(batch_buckets=[8, 1]), "batch_buckets must grow"),
    "a name that is a path": (lambda m: m.update(name="../colours"), "$.name"),
    "a hash that is none": (lambda m: m["files"]["fp32/model.onnx"].update(sha256="0"), "sha256"),
    "a manifest that lists itself": (
        lambda m: m["files"].update({"manifest.json": m["files"]["fp32/model.onnx"]}),
        "manifest.json",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_manifest_that_is_wrong(folder: Path, what: str) -> None:
    change, message = CHANGES[what]
    rewrite(folder, change)
    refused(folder, message)


@pytest.mark.parametrize("content", [b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"schema_version":1}', b"1e9999"])
def test_a_manifest_that_is_something_else(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    refused(folder, "manifest.json", "not a valid manifest")


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


GOLDEN: dict[str, tuple[bytes, str]] = {
    "NaN": (
        npz(logits=np.full((4, 5), np.nan), embedding=np.zeros((4, 3))),
        "'logits' (float64) has values that are not",
    ),
    "too few answers": (npz(logits=np.zeros((3, 5)), embedding=np.zeros((4, 3))), "3 answers, but there are 4"),
    "a number alone": (npz(logits=np.float32(1), embedding=np.zeros((4, 3))), "no batch axis"),
    "text": (npz(logits=np.array(["a"] * 4), embedding=np.zeros((4, 3))), "not finite numbers"),
    "pickled objects": (npz(logits=np.array([{}] * 4, object), embedding=np.zeros((4, 3))), "not a readable .npz"),
    "an output too many": (npz(logits=np.zeros((4, 5)), embedding=np.zeros((4, 3)), x=np.zeros(4)), "'x'"),
    "no archive": (b"PK\x03\x04 and nothing else", "not a readable .npz"),
    "nothing": (b"", "not a readable .npz"),
}


@pytest.mark.parametrize("what", GOLDEN)
def test_golden_outputs_that_prove_nothing(folder: Path, what: str) -> None:
    content, message = GOLDEN[what]
    put(folder, "fp32/golden.npz", content)
    refused(folder, "golden.npz", message)
