"""A registered package into a model repository of Triton, as the command line has it done."""

from __future__ import annotations

from export.to_triton import TritonModel, export_triton
from registry.reference import ModelRef, VersionInfo
from registry.store import PackageStore, newest, open_store
from registry.tracking import HOME
from serving.variants import AUTO
from tasks.errors import NotFound
from tidegate.output import note
from tidegate.triton_options import TritonRequest

TRITON_PORTS = "--http-port 9000 --grpc-port 9001 --metrics-port 9002"
"""Its own defaults are those of tidegate serve, and the two may run on one machine."""


def write_repository(reference: str, request: TritonRequest, store_uri: str | None) -> TritonModel:
    """Writes the version that is meant, prints where, and says what to do next."""
    store = open_store(store_uri)
    info, served = choose_version(store, reference)
    written = export_triton(store.fetch(info, HOME / "cache"), info.version, request.repository, request.order)
    print(written.folder / written.version)
    note(f"{info}: variant {written.variant} for Triton's {written.backend} backend")
    if written.missing is not None:
        note(
            f"Triton waits for {written.missing}: build it on the GPU that is to run it (tidegate build-engines), then "
            "come back with --engine FILE"
        )
    if written.built_for:
        note(f"the engine is for {written.built_for}; Triton must have the same")
    variant = "" if request.order.variant == AUTO else f" TIDEGATE_VARIANT={written.variant}"
    note(
        f"next: tritonserver --model-repository {request.repository} {TRITON_PORTS}, and beside it "
        f"TIDEGATE_ENGINE=triton TIDEGATE_TRITON_URL=HOST:9001{variant} tidegate serve {served}"
    )
    return written


def choose_version(store: PackageStore, reference: str) -> tuple[VersionInfo, str]:
    """What the reference means, and what a server is to be asked for; of a plain name the champion, or the newest
    version where there is none yet."""
    ref = ModelRef.parse(reference)
    try:
        return store.resolve(ref), reference
    except NotFound:
        if reference != ref.name:
            raise
    found = newest(store, ref.name)
    note(f"{ref.name} has no champion; taking its newest version, {found.version}")
    return found, str(found)
