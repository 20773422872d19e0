"""From a package to a model repository that Triton loads:

    DIR/<model>/config.pbtxt         tensors, batching, instances, warm-up; of each version, which package it is
    DIR/<model>/<version>/…          model.onnx, model.plan or model.py: the number is the registry's own
    DIR/<model>/warmup/…             golden pictures, as the graph takes them

Only stages that are batched can go there. A version that was written never changes, so exporting it again does nothing,
and a repository is shared by as many versions as there are.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from export.triton.engine_file import check_engine_file
from export.triton.model_config import (
    MODEL_FILES,
    Backend,
    add_version,
    build_config,
    check_agrees,
    knows,
    print_config,
    read_config,
)
from export.triton.version_folder import incoming_version, replace_text, sole_writer
from export.triton.warm_up import FOLDER, golden_warm_up
from registry.package import ModelPackage
from registry.plain_graph import write_plain_graph
from serving.runtimes.triton_origin import Origin
from serving.variants import AUTO, any_host, choose_variant
from tasks.errors import BadInput, Unsupported
from tasks.generative_spec import GenerativeSpec

CONFIG = "config.pbtxt"
PYTHON_MODEL = Path(__file__).parent / "triton" / "python_model.py"


@dataclass(frozen=True)
class TritonOrder:
    """What is asked for. `variant`: a name, or auto: the first whose gates passed. `engine`: one of TensorRT, as
    `tidegate build-engines` leaves it; without one its file is awaited."""

    variant: str = AUTO
    backend: Backend = "onnxruntime"
    engine: Path | None = None


@dataclass(frozen=True)
class TritonModel:
    """What was written. `built_for`: of an engine, the GPU and TensorRT that Triton must have. `missing`: the file that
    it still waits for."""

    folder: Path
    version: str
    variant: str
    backend: Backend
    built_for: str
    missing: Path | None


def export_triton(package: ModelPackage, version: str, repository: Path, order: TritonOrder) -> TritonModel:
    """Write one version of one model. Raises Unsupported for a model that generates, Conflict where the repository has
    something else in its place or an engine is of another graph, NotReady for a variant that did not pass its gates."""
    manifest = package.manifest
    if isinstance(package.task_spec, GenerativeSpec):
        raise Unsupported(
            f"{manifest.name!r} generates token by token; Triton serves stages that are batched, no others. Serve it "
            "with tidegate serve"
        )
    variant = choose_variant(package, order.variant, any_host(package))
    built_for = check_engine(order, package, variant)
    model = repository / manifest.name
    with sole_writer(repository):
        write_version(package, version, variant, order, model)
    awaited = model / version / MODEL_FILES[order.backend]
    return TritonModel(model, version, variant, order.backend, built_for, None if awaited.exists() else awaited)


def write_version(package: ModelPackage, version: str, variant: str, order: TritonOrder, model: Path) -> None:
    """Its files, then its place in the configuration, where it has none yet."""
    chosen = package.variant(variant)
    config = build_config(
        package.manifest.name, chosen.graphs["main"], package.manifest.batch_buckets, chosen.requires, order.backend
    )
    if (model / CONFIG).is_file():
        there = read_config(model / CONFIG)
        check_agrees(there, config)
        config = there
    origin = Origin(digest=package.digest, variant=variant)
    is_known = knows(config, version, origin)
    with incoming_version(model / version) as folder:
        write_files(package, variant, order, folder)
    if not is_known:
        warm_up = golden_warm_up(package, variant)
        add_version(config, version, origin, warm_up.requests)
        write_warm_up(model, warm_up.files)
        # Last: it never names what is not there.
        replace_text(model / CONFIG, print_config(config))
        remove_stale(model, warm_up.files)


def write_warm_up(model: Path, files: Mapping[str, bytes]) -> None:
    (model / FOLDER).mkdir(exist_ok=True)
    for name, content in files.items():
        (model / FOLDER / name).write_bytes(content)


def remove_stale(model: Path, files: Collection[str]) -> None:
    """What warmed earlier versions, and is named by nobody any more."""
    for path in (model / FOLDER).iterdir():
        if path.name not in files:
            path.unlink()


def check_engine(order: TritonOrder, package: ModelPackage, variant: str) -> str:
    """What the engine was built for, if there is one. Raises BadInput for an engine that has no place."""
    if order.engine is None:
        return ""
    if order.backend != "tensorrt":
        raise BadInput(f"an engine is for backend tensorrt, and the backend asked for is {order.backend}")
    return check_engine_file(order.engine, package, variant)


def write_files(package: ModelPackage, variant: str, order: TritonOrder, folder: Path) -> None:
    """What the backend reads of this version."""
    if order.backend == "tensorrt":
        if order.engine is not None:
            shutil.copyfile(order.engine, folder / MODEL_FILES["tensorrt"])
        return
    write_plain_graph(package, variant, "main", folder).rename(folder / MODEL_FILES["onnxruntime"])
    if order.backend == "python":
        shutil.copyfile(PYTHON_MODEL, folder / MODEL_FILES["python"])
        # A file where Python wants a folder: bytecode in the repository would be a change to a Triton that polls it,
        # and load everything again. The backend does not heed the variable that says so.
        (folder / "__pycache__").touch()
