from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.package_cache import evict
from serving.engines.engine_cache import INDEX, PLAN, EngineCache, EngineRecord
from serving.engines.engine_key import BuildSettings, EngineHost, EngineKey
from tasks.errors import NotFound, NotReady

HOST = EngineHost(gpu="NVIDIA L4", compute_capability="8.9", num_multiprocessors=58, tensorrt="10.16.1.11")
KEY = EngineKey(package="a" * 64, variant="fp32", role="main", host=HOST, settings=BuildSettings())
STAMP = "2026-11-21T12:00:00+00:00"


def changed(**facts: Any) -> EngineKey:
    return msgspec.structs.replace(KEY, **facts)


def kept(folder: Path, key: EngineKey = KEY, plan: bytes = b"plan") -> EngineCache:
    cache = EngineCache(folder)
    cache.keep(key, plan, num_profiles=3, build_s=61.234, built_at=STAMP)
    return cache


def test_what_was_kept_is_found_with_its_facts(tmp_path: Path) -> None:
    cache = kept(tmp_path / "engines")
    path = cache.find(KEY)
    assert path.read_bytes() == b"plan"
    record = msgspec.json.decode((path.parent / INDEX).read_bytes(), type=EngineRecord)
    assert (record.key, record.num_profiles, record.build_s, record.built_at) == (KEY, 3, 61.2, STAMP)
    assert not list((tmp_path / "engines").glob("incoming-*"))


def test_a_newer_engine_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    kept(tmp_path)
    assert kept(tmp_path, plan=b"better").find(KEY).read_bytes() == b"better"
    assert [path.name for path in tmp_path.iterdir()] == [KEY.package]


@pytest.mark.parametrize(
    "other",
    [
        changed(package="b" * 64),
        changed(variant="fp16"),
        changed(role="encoder"),
        changed(settings=BuildSettings(fp32_products="tf32")),
        changed(settings=BuildSettings(optimization_level=5)),
        changed(procedure=KEY.procedure + 1),
        changed(host=msgspec.structs.replace(HOST, gpu="NVIDIA L40S")),
        changed(host=msgspec.structs.replace(HOST, compute_capability="9.0")),
        changed(host=msgspec.structs.replace(HOST, num_multiprocessors=29)),
        changed(host=msgspec.structs.replace(HOST, tensorrt="11.4.0.106")),
    ],
    ids=["package", "variant", "role", "tf32", "level", "procedure", "gpu", "capability", "part of a gpu", "tensorrt"],
)
def test_an_engine_is_of_no_use_where_a_fact_differs(tmp_path: Path, other: EngineKey) -> None:
    with pytest.raises(NotFound, match="no engine was built: wanted is one for NVIDIA"):
        kept(tmp_path).find(other)


def test_the_message_says_what_is_there_instead(tmp_path: Path) -> None:
    other = changed(host=msgspec.structs.replace(HOST, tensorrt="11.4.0.106"))
    with pytest.raises(NotFound, match=r"TensorRT 11\.4.*; there are engines for NVIDIA L4 .*TensorRT 10\.16"):
        kept(tmp_path).find(other)


@pytest.mark.parametrize("content", [b"", b"plam", b"plan "])
def test_a_damaged_plan_is_not_handed_out(tmp_path: Path, content: bytes) -> None:
    cache = kept(tmp_path)
    cache.find(KEY).write_bytes(content)
    with pytest.raises(NotFound, match="damaged or swapped"):
        cache.find(KEY)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff"])
def test_a_damaged_index_is_not_believed(tmp_path: Path, content: bytes) -> None:
    cache = kept(tmp_path)
    (cache.find(KEY).parent / INDEX).write_bytes(content)
    with pytest.raises(NotFound, match="can not be read"):
        cache.find(KEY)


def test_an_engine_under_the_name_of_another_is_not_handed_out(tmp_path: Path) -> None:
    other = changed(variant="fp16")
    cache = kept(tmp_path)
    (tmp_path / KEY.folder).rename(tmp_path / other.folder)
    with pytest.raises(NotFound, match="damaged or swapped"):
        cache.find(other)


def test_half_an_entry_is_none(tmp_path: Path) -> None:
    cache = kept(tmp_path)
    (tmp_path / KEY.folder / PLAN).unlink()
    with pytest.raises(NotFound, match="no engine was built"):
        cache.find(KEY)


def test_an_engine_moves_from_a_trial_into_the_cache(tmp_path: Path) -> None:
    trial, cache = kept(tmp_path / "trial", plan=b"new"), kept(tmp_path / "cache", plan=b"old")
    trial.move_to(cache, KEY)
    assert cache.find(KEY).read_bytes() == b"new"
    with pytest.raises(NotFound):
        trial.find(KEY)


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "engines").write_text("a file")
    with pytest.raises(NotReady, match="can not be kept"):
        kept(tmp_path / "engines")


def test_times_are_shared_by_the_engines_of_a_host_and_no_other(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    assert cache.timings(KEY) == b""
    cache.keep_timings(KEY, b"first")
    cache.keep_timings(KEY, b"times")
    assert cache.timings(changed(variant="fp16")) == b"times"
    assert cache.timings(changed(host=msgspec.structs.replace(HOST, tensorrt="11.0"))) == b""
    assert len(list((tmp_path / "timing").iterdir())) == 1


@given(
    gpu=st.text(max_size=20),
    tensorrt=st.text(max_size=20),
    role=st.from_regex(r"[A-Za-z0-9][\w.-]{0,20}", fullmatch=True),
)
def test_whatever_a_host_is_called_the_folder_stays_within_the_cache(gpu: str, tensorrt: str, role: str) -> None:
    host = msgspec.structs.replace(HOST, gpu=gpu, tensorrt=tensorrt)
    folder = changed(host=host, role=role).folder
    assert (Path("/cache") / folder).resolve().is_relative_to(f"/cache/{KEY.package}")
    assert len(Path(folder).parts) == 2


def test_engines_of_packages_that_nobody_uses_go_first(tmp_path: Path) -> None:
    used, unused = changed(package="b" * 64), changed(package="c" * 64)
    cache = kept(tmp_path, used, b"used")
    kept(tmp_path, unused, b"unused")
    for key in (used, unused):
        os.utime(tmp_path / key.package, (0, 0))
    cache.find(used)
    evict(tmp_path, budget_bytes=1000, keep=set())
    assert cache.find(used).read_bytes() == b"used"
    with pytest.raises(NotFound):
        cache.find(unused)
