from __future__ import annotations

from pathlib import Path

import pytest

from export.triton.engine_file import check_engine_file
from registry.package import ModelPackage
from serving.engines.engine_cache import EngineCache
from serving.engines.engine_key import BuildSettings, EngineHost, EngineKey
from tasks.errors import Conflict, NotFound
from tests.handmade import Handmade, build_package

HOST = EngineHost(gpu="A GPU", compute_capability="9.0", num_multiprocessors=132, tensorrt="11.2.0")


def keep_engine(cache: Path, package: ModelPackage, plan: bytes, variant: str = "fp32", num_profiles: int = 4) -> Path:
    """An engine as `tidegate build-engines` leaves it; the bytes mean nothing."""
    key = EngineKey(package=package.digest, variant=variant, role="main", host=HOST, settings=BuildSettings())
    EngineCache(cache).keep(key, plan, num_profiles, build_s=1.0, built_at="2026-01-01T00:00:00Z")
    return EngineCache(cache).find(key)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """With batches of 1, 2, 4 and 8."""
    return build_package(tmp_path_factory.mktemp("package") / "colours", Handmade(num_profile=4))


def test_an_engine_of_the_graph_says_where_it_runs(package: ModelPackage, tmp_path: Path) -> None:
    told = check_engine_file(keep_engine(tmp_path, package, b"plan"), package, "fp32")
    assert "A GPU (9.0" in told
    assert "TensorRT 11.2.0" in told


def test_an_engine_of_anything_else_is_refused(package: ModelPackage, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match=r"is of variant 'int8', .* wanted is variant 'fp32'"):
        check_engine_file(keep_engine(tmp_path, package, b"plan", variant="int8"), package, "fp32")
    with pytest.raises(Conflict, match="has 1 profiles, and the package 4 batch sizes"):
        check_engine_file(keep_engine(tmp_path, package, b"plan", num_profiles=1), package, "fp32")
    other = build_package(tmp_path / "other", Handmade(shift=1.0, num_profile=4))
    with pytest.raises(Conflict, match=f"of package {other.digest[:12]}; wanted"):
        check_engine_file(keep_engine(tmp_path / "cache", other, b"plan"), package, "fp32")


def test_an_engine_that_changed_or_that_nobody_knows_is_refused(package: ModelPackage, tmp_path: Path) -> None:
    engine = keep_engine(tmp_path / "cache", package, b"plan")
    engine.write_bytes(b"swapped")
    with pytest.raises(Conflict, match="damaged or swapped"):
        check_engine_file(engine, package, "fp32")
    (tmp_path / "alone.plan").write_bytes(b"plan")
    for path in (tmp_path / "alone.plan", tmp_path / "nowhere" / "engine.plan"):
        with pytest.raises(NotFound, match=r"engine\.json beside it, as tidegate build-engines"):
            check_engine_file(path, package, "fp32")
