"""A built TensorRT engine on its way to Triton: is it one of this very graph?"""

from __future__ import annotations

from pathlib import Path

import msgspec

from registry.package import ModelPackage, record_of
from serving.engines.engine_cache import INDEX, EngineRecord, describe
from tasks.errors import Conflict, NotFound


def check_engine_file(engine: Path, package: ModelPackage, variant: str) -> str:
    """What the engine was built for, which is what Triton's machine has to be.

    Raises NotFound for a file without the record that `tidegate build-engines` writes beside it, Conflict for an engine
    of another graph, or one with other batch sizes than its configuration will say."""
    try:
        record = msgspec.json.decode(engine.with_name(INDEX).read_bytes(), type=EngineRecord)
        found = record_of(engine)
    except (OSError, msgspec.MsgspecError) as error:
        raise NotFound(
            f"{engine} is no engine with its {INDEX} beside it, as tidegate build-engines makes them on the GPU that "
            f"is to run them: {error}"
        ) from error
    key, num_buckets = record.key, len(package.manifest.batch_buckets)
    if found != record.plan:
        raise Conflict(f"{engine} was damaged or swapped since it was built; build it again")
    if (key.package, key.variant, key.role) != (package.digest, variant, "main"):
        raise Conflict(
            f"{engine} is of variant {key.variant!r}, graph {key.role!r}, of package {key.package[:12]}; wanted is "
            f"variant {variant!r} of package {package.digest[:12]}"
        )
    if record.num_profiles != num_buckets:
        raise Conflict(f"{engine} has {record.num_profiles} profiles, and the package {num_buckets} batch sizes")
    return describe(key)
