"""Variants are made again only where another seed makes another one, and the float32 graph is written once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from export.population import build_population, with_seed, write_once
from export.recipe import ExportRecipe
from export.subject import Subject


@pytest.fixture(scope="module")
def few(recipe: ExportRecipe) -> ExportRecipe:
    return msgspec.structs.replace(recipe, num_seeds=3, num_calibration=16)


def test_only_what_is_drawn_is_made_again(subject: Subject, few: ExportRecipe, tmp_path: Path) -> None:
    found = build_population(subject, few, tmp_path)
    assert {name: len(each) for name, each in found.items()} == {"int8": 2, "fp32": 0}
    # Other pictures give other ranges.
    first, second = (variant.path.read_bytes() for variant in found["int8"])
    assert first != second


def test_one_seed_makes_nothing_again(subject: Subject, few: ExportRecipe, tmp_path: Path) -> None:
    found = build_population(subject, msgspec.structs.replace(few, num_seeds=1), tmp_path)
    assert found == {"int8": [], "fp32": []}
    assert not list(tmp_path.iterdir())


def test_float_graph_is_written_once(subject: Subject, tmp_path: Path) -> None:
    written = []

    def write_graph(target: Path, opset: int) -> None:
        written.append(opset)
        subject.write_graph(target, opset)

    source = write_once(replace(subject, write_graph=write_graph), tmp_path)
    for name in ("a.onnx", "b.onnx"):
        source.write_graph(tmp_path / name, 20)
    assert written == [20]
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_model_made_elsewhere_has_nothing_to_learn_from(subject: Subject) -> None:
    assert with_seed(subject, 2) is subject
