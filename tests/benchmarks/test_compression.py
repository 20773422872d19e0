"""The table of techniques, of a tiny decoder."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.compression import combined_recipe, refused_graphs, techniques, try_all
from benchmarks.compression_table import FLOAT, format_tried
from export.recipe import ExportRecipe
from tests.quick_graphs import write_onnx_quickly
from tests.tiny_learning import checkpoint_of, learning_of
from training.data.cache import CACHE_VARIABLE

COUNTS = ["num_verify=12", "num_profile=12", "num_seeds=1", "latency_seconds=0.001", "num_continuations=2"]
SHORT = ["continuation_tokens=4", "slots=[1, 2]", "passage_tokens=20"]


def test_table_has_a_row_for_each_technique_of_a_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    for name in ("texts", "checkpoint"):
        (tmp_path / name).mkdir()
    checkpoint = checkpoint_of(learning_of("text_generation", tmp_path / "texts"), tmp_path / "checkpoint")
    recipe, refused = combined_recipe("text_generation", ["clustering", "fp16", "qat"], COUNTS + SHORT)
    assert "token by token" in refused["qat"]
    tried = try_all(checkpoint, recipe, (1, 2), 0.001)
    assert list(tried.timings_ms) == list(tried.evidence) == [FLOAT, "clustering", "fp16"]
    assert tried.evidence["clustering"].num_bytes < tried.evidence[FLOAT].num_bytes / 2
    rows = format_tried(tried, (1, 2)).splitlines()
    assert [row.split()[0] for row in rows[-3:]] == [FLOAT, "clustering", "fp16"]
    assert "GPU" in rows[-1]


def test_every_recipe_that_extends_another_is_a_technique() -> None:
    assert {"deep-compression", "int8-minmax", "channel-pruning", "distillation"} < set(techniques())
    assert not {"quick", "classification", "search"} & set(techniques())


def test_what_a_graph_refuses_is_known_before_anything_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("export.torch_subject.write_onnx", write_onnx_quickly)
    for name in ("pictures", "checkpoint"):
        (tmp_path / name).mkdir()
    checkpoint = checkpoint_of(learning_of("segmentation", tmp_path / "pictures"), tmp_path / "checkpoint")
    recipe, _ = combined_recipe("segmentation", ["int4", "int8-minmax", "clustering"], ["num_calibration=8"])
    assert isinstance(recipe, ExportRecipe)
    refused = refused_graphs(checkpoint, recipe)
    assert list(refused) == ["int4"]
    assert "convolutions" in refused["int4"]
