"""Making models from the command line, as far as it needs no training: a foreign ONNX file becomes a package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from typer.testing import CliRunner

from registry.local_store import LocalStore
from tasks.errors import BadInput, GateFailed, InvalidRecipe
from tidegate import cli

LABELS = ("red", "green", "blue")
FACTS = """
name = "colours"
labels = ["red", "green", "blue"]

[image]
height = 16
width = 16
"""


def write_model(path: Path) -> None:
    """`pixels` FP32 [n, 3, 16, 16] in 0…1 → `scores` [n, 3]: ten times the mean of each colour. Two layers: the last
    one is not quantized."""
    kernel = (10 * np.eye(3, dtype=np.float32))[:, :, None, None]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["pixels", "kernel"], ["scaled"]),
            helper.make_node("Conv", ["scaled", "identity"], ["features"]),
            helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["scores"], axis=1),
        ],
        "colours",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(kernel / 10, "identity")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def write_samples(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for index, label in enumerate(LABELS):
        (folder / label).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 100, (20, 24, 3))
            pixels[..., index] += 120
            Image.fromarray(pixels.astype(np.uint8)).save(folder / label / f"{number}.png")


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model with its facts and samples beside it."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "foreign.onnx")
    (tmp_path / "foreign.toml").write_text(FACTS)
    write_samples(tmp_path / "foreign")
    return tmp_path / "foreign.onnx"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli.app, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_foreign_model_becomes_a_version_with_evidence(foreign: Path, tmp_path: Path) -> None:
    shown = run("import", foreign, "--recipe", "quick", "--store", tmp_path / "packages")
    assert "int8" in shown
    assert "fp32" in shown
    store = LocalStore(tmp_path / "packages")
    package = store.fetch(store.versions("colours")[0], tmp_path)
    assert all(variant.evidence.passed for variant in package.manifest.variants.values())
    assert not list((tmp_path / ".tidegate").glob("build-*"))


def test_failure_names_the_sheets_of_what_was_forgotten(foreign: Path, tmp_path: Path) -> None:
    strict = ["--recipe", "quick", "--set", "variants.fp32.tolerances.max_num_bytes=10"]
    with pytest.raises(GateFailed, match=r"num_bytes(.|\n)*what each variant forgot: .*failed-exports/colours-"):
        run("import", foreign, *strict, "--store", tmp_path / "packages")
    (folder,) = (tmp_path / ".tidegate" / "failed-exports").iterdir()
    assert {path.parent.name for path in folder.rglob("forgotten.json")} == {"fp32", "int8"}
    assert not list((tmp_path / ".tidegate").glob("build-*"))


def test_facts_and_samples_may_lie_elsewhere(foreign: Path, tmp_path: Path) -> None:
    facts, samples = tmp_path / "other.toml", tmp_path / "elsewhere"
    (tmp_path / "foreign.toml").rename(facts)
    (tmp_path / "foreign").rename(samples)
    with pytest.raises(InvalidRecipe, match=r"foreign\.toml"):
        run("import", foreign, "--store", tmp_path / "packages")
    run(
        "import", foreign, "--facts", facts, "--samples", samples, "--recipe", "quick", "--store", tmp_path / "packages"
    )
    assert LocalStore(tmp_path / "packages").names() == ["colours"]


def test_training_into_a_folder_of_packages_is_refused_before_it_starts(tmp_path: Path) -> None:
    for command in (["train", "digits-smoke"], ["export", "digits"]):
        with pytest.raises(BadInput, match="folder of packages"):
            run(*command, "--store", tmp_path)
