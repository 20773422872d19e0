"""From the folders that training leaves to packages, by the call that the command line makes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from export.compress.half_precision import Bf16, Fp16
from export.export_checkpoint import export_checkpoint
from export.generative.recipe import GenerativeRecipe
from export.generative.subject import passages_of
from export.recipe import load_export_recipe
from registry.package import ModelPackage
from tasks.errors import InvalidRecipe
from tests.captioning_recipes import tiny_recipe as captioning_recipe
from tests.language_subjects import document
from training.checkpoint import CheckpointFacts, save_checkpoint
from training.data.annotation import Annotation
from training.data.cache import CACHE_VARIABLE
from training.data.source import Example, open_source
from training.kind import open_kind
from training.recipe import Recipe, parse_recipe


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


def untrained(recipe: Recipe, folder: Path) -> None:
    """A checkpoint of the recipe's network with random weights, large enough to say something."""
    source, kind = open_source(recipe.data), open_kind(recipe.task)
    spec = kind.spec(source, recipe)
    torch.manual_seed(0)
    network = kind.network(recipe.model, spec)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 2:
                parameter.mul_(4)
    facts = CheckpointFacts(
        task=msgspec.to_builtins(spec),
        recipe=msgspec.to_builtins(recipe),
        network=recipe.model,
        dataset_digest="0" * 64,
        split_sizes={},
        git_commit="abc",
        libraries={"torch": "2.13"},
        metrics={},
    )
    save_checkpoint(folder, network, facts, kind.assets(source, recipe))


def tolerant_recipe(task: str) -> GenerativeRecipe:
    """On random weights compression may cost anything, but the float32 graphs must be right."""
    counts = ["num_verify=12", "num_continuations=12", "num_profile=12", "num_golden=3", "latency_seconds=0.01"]
    loose = [
        f"variants.{name}.tolerances={{max_bits_per_byte_increase=1.0, min_decision_agreement=0.0}}"
        for name in ("int8", "int4")
    ]
    found = load_export_recipe(f"{task}-quick", [*counts, "continuation_tokens=8", "golden_tokens=4", *loose])
    assert isinstance(found, GenerativeRecipe)
    return found


def text_recipe(folder: Path) -> Recipe:
    (folder / "texts").mkdir()
    for seed in range(10):
        (folder / "texts" / f"{seed}.txt").write_text(document(seed))
    facts = {
        "name": "sentences",
        "task": "text_generation",
        "data": {"source": "files", "path": str(folder / "texts"), "validation_fraction": 0.2, "test_fraction": 0.3},
        "text": {"context": 48, "tokenizer": {"vocabulary": 300}},
        "model": {"architecture": "llama", "options": {"width": 32, "depth": 1, "heads": 2, "kv_heads": 1}},
    }
    return parse_recipe(facts, "sentences")


def test_checkpoint_of_a_language_model_becomes_a_package(tmp_path: Path) -> None:
    untrained(text_recipe(tmp_path), tmp_path / "checkpoint")
    recipe = tolerant_recipe("text_generation")
    package = export_checkpoint(tmp_path / "checkpoint", recipe, tmp_path / "package", run_id="run-7")
    manifest = package.manifest
    assert (manifest.name, manifest.lineage.run_id, manifest.lineage.git_commit) == ("sentences", "run-7", "abc")
    assert manifest.task["context"] == 48
    assert set(manifest.variants) == {"fp32", "int8", "int4"}
    assert package.variant("fp32").evidence.num_examples == 12


@pytest.fixture(scope="module")
def captioner(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """With the variants of its recipe, and in 16 bits."""
    folder = tmp_path_factory.mktemp("captioner")
    untrained(captioning_recipe(), folder / "checkpoint")
    recipe = tolerant_recipe("captioning")
    steps = {"fp16": Fp16(), "bf16": Bf16()}
    halves = {name: msgspec.structs.replace(recipe.variants["int8"], steps=(step,)) for name, step in steps.items()}
    recipe = msgspec.structs.replace(recipe, variants={**recipe.variants, **halves})
    return export_checkpoint(folder / "checkpoint", recipe, folder / "package")


def test_checkpoint_of_a_captioner_becomes_a_package_with_an_encoder(captioner: ModelPackage) -> None:
    assert captioner.manifest.image_sizes
    assert all(name.endswith(".jpg") or name.endswith(".png") for name in captioner.manifest.golden_inputs)
    evidence = captioner.variant("fp32").evidence
    assert [gate.value for gate in evidence.gates if gate.name == "continuations_changed"] == [0]
    assert evidence.num_bytes > captioner.graph_path("fp32", "encoder").stat().st_size


def test_passages_say_which_picture_they_are_of(captioner: ModelPackage) -> None:
    no_boxes = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool)
    pictures = [Example(bytes([n]), Annotation(*no_boxes, caption=f"picture {n}")) for n in range(9)]
    found = passages_of(pictures, captioner.open_generative_task("fp32"), tolerant_recipe("captioning"), 5)
    assert len({passage.place for passage in found}) == 5
    assert [passage.payload for passage in found] == [pictures[passage.place].payload for passage in found]


def test_captioner_for_a_gpu_has_its_encoder_in_16_bits_too(captioner: ModelPackage) -> None:
    graphs = {name: variant.graphs["encoder"] for name, variant in captioner.manifest.variants.items()}
    assert {name: graph.file for name, graph in graphs.items()} == {
        **dict.fromkeys(("fp32", "int8", "int4"), "encoder.onnx"),
        "fp16": "fp16/encoder.onnx",
        "bf16": "bf16/encoder.onnx",
    }
    assert graphs["fp32"].outputs == graphs["fp16"].outputs == graphs["bf16"].outputs
    sizes = {name: captioner.graph_path(name, "encoder").stat().st_size for name in graphs}
    assert max(sizes["fp16"], sizes["bf16"]) < sizes["fp32"]


def test_recipe_of_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    untrained(text_recipe(tmp_path), tmp_path / "checkpoint")
    with pytest.raises(InvalidRecipe, match='protocol = "generative"'):
        export_checkpoint(tmp_path / "checkpoint", load_export_recipe("quick"), tmp_path / "package")
