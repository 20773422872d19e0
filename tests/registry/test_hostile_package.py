"""Whatever stands in a package, it opens or is refused as InvalidPackage: nothing else is ever raised."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.package import open_package
from tasks.errors import InvalidPackage

PACKAGES = Path(__file__).parent / "packages"
HOSTILE = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)
DAMAGE = (st.floats(0, 1, exclude_max=True), st.binary(max_size=8), st.integers(0, 40))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module", params=["v1", "v1-llama"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound package of pictures, or of texts; tests leave it as it was."""
    copy: Path = shutil.copytree(PACKAGES / request.param, tmp_path_factory.mktemp("hostile") / "package")
    open_package(copy)
    return copy


@contextmanager
def restored(*paths: Path) -> Iterator[None]:
    """Inside, these files may be changed."""
    sound = {path: path.read_bytes() for path in paths}
    try:
        yield
    finally:
        for path, content in sound.items():
            path.write_bytes(content)


def damaged(content: bytes, place: float, patch: bytes, cut: int) -> bytes:
    start = int(place * len(content))
    return content[:start] + patch + content[start + cut :]


def replace_one_fact(facts: Any, choice: Random, value: object) -> None:
    """Somewhere in nested tables and lists."""
    while True:
        key = choice.choice(list(facts) if isinstance(facts, dict) else range(len(facts)))
        if not isinstance(facts[key], dict | list) or not facts[key] or choice.random() < 0.2:
            facts[key] = value
            return
        facts = facts[key]


@HOSTILE
@given(*DAMAGE)
def test_damaged_manifests(folder: Path, place: float, patch: bytes, cut: int) -> None:
    manifest = folder / "manifest.json"
    with restored(manifest), suppress(InvalidPackage):
        manifest.write_bytes(damaged(manifest.read_bytes(), place, patch, cut))
        open_package(folder)


@HOSTILE
@given(choice=st.randoms(use_true_random=False), value=JSON_VALUES)
def test_facts_of_another_type(folder: Path, choice: Random, value: object) -> None:
    manifest = folder / "manifest.json"
    facts = json.loads(manifest.read_bytes())
    replace_one_fact(facts, choice, value)
    with restored(manifest), suppress(InvalidPackage):
        manifest.write_text(json.dumps(facts))
        open_package(folder)


@HOSTILE
@given(*DAMAGE)
def test_damaged_golden_outputs_with_a_digest_that_fits(folder: Path, place: float, patch: bytes, cut: int) -> None:
    manifest, golden = folder / "manifest.json", folder / "fp32" / "golden.npz"
    content = damaged(golden.read_bytes(), place, patch, cut)
    facts = json.loads(manifest.read_bytes())
    facts["files"]["fp32/golden.npz"] = {"sha256": hashlib.sha256(content).hexdigest(), "num_bytes": len(content)}
    with restored(manifest, golden), suppress(InvalidPackage):
        golden.write_bytes(content)
        manifest.write_text(json.dumps(facts))
        open_package(folder)
