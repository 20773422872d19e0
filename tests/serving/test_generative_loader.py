from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from registry.package import ModelPackage
from serving.config import ServerConfig
from serving.generation.decoder import Step
from serving.generative_loader import load_generative, open_generative
from serving.runtimes.compute_threads import ONE_THREAD
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.variants import detect_host
from tasks.errors import InvalidPackage
from tests.tiny_language import build_language_package

CONFIG = ServerConfig(runtime_threads=1)


@pytest.fixture(scope="module", params=["llama", "lstm"])
def language(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """The model `tiny`: 1, 2 or 4 slots of 64 positions."""
    folder = tmp_path_factory.mktemp("package") / "tiny"
    return build_language_package(folder, request.param, slots=(1, 2, 4))


def changed_golden(package: ModelPackage, folder: Path, **outputs: np.ndarray) -> ModelPackage:
    """The package with other golden outputs."""
    path = folder / "golden.npz"
    np.savez(path, **(package.golden_outputs("fp32") | outputs))
    golden = msgspec.structs.replace(package.manifest.variants["fp32"].golden, file=str(path))
    variant = msgspec.structs.replace(package.manifest.variants["fp32"], golden=golden)
    manifest = msgspec.structs.replace(package.manifest, variants={"fp32": variant})
    return ModelPackage(package.folder, manifest, package.digest)


def test_the_largest_number_of_slots_is_served_unless_a_deployment_caps_it(language: ModelPackage) -> None:
    for cap, num_slots in ((None, 4), (3, 2), (100, 4)):
        loaded = load_generative(language, msgspec.structs.replace(CONFIG, max_slots=cap), detect_host())
        assert loaded.graphs.decoder.num_slots == num_slots
        assert loaded.variant == "fp32"
        assert loaded.encoder_plan is None
        loaded.graphs.decoder.close()


def test_an_opened_package_continues_text(language: ModelPackage) -> None:
    graphs = open_generative(language, "fp32", num_slots=2, threads=ONE_THREAD)
    prompt = graphs.task.prompt("Return the")
    assert graphs.decoder.prefill(1, prompt.tokens, 0) is not None
    assert graphs.decoder.decode([Step(1, 5, prompt.length)], {}).shape == (1, graphs.decoder.vocabulary)
    graphs.close()


def test_other_numbers_after_a_prompt_are_refused(language: ModelPackage, tmp_path: Path) -> None:
    logits = language.golden_outputs("fp32")["logits"].copy()
    logits[1, 7] += 0.5
    with pytest.raises(InvalidPackage, match=r"golden/0001.txt.*'logits' differ by 0.5"):
        load_generative(changed_golden(language, tmp_path, logits=logits), CONFIG, detect_host())


def test_another_continuation_is_refused(language: ModelPackage, tmp_path: Path) -> None:
    continuation = language.golden_outputs("fp32")["continuation"].copy()
    continuation[2, 3] = (continuation[2, 3] + 1) % 300
    with pytest.raises(InvalidPackage, match=r"golden/0002.txt.*follow, not"):
        load_generative(changed_golden(language, tmp_path, continuation=continuation), CONFIG, detect_host())


def test_a_continuation_may_end_before_the_others(language: ModelPackage, tmp_path: Path) -> None:
    continuation = language.golden_outputs("fp32")["continuation"].copy()
    continuation[0, 2:] = -1
    loaded = load_generative(changed_golden(language, tmp_path, continuation=continuation), CONFIG, detect_host())
    assert loaded.variant == "fp32"
    loaded.graphs.close()


def test_a_golden_input_that_is_no_text_is_refused(tmp_path: Path) -> None:
    package = build_language_package(tmp_path / "tiny")
    (package.folder / "golden" / "0000.txt").write_bytes(b"\xff")
    with pytest.raises(InvalidPackage, match=r"golden/0000.txt.*UTF-8"):
        load_generative(package, CONFIG, detect_host())


def test_a_model_that_fails_its_self_test_frees_its_runtimes(
    language: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[OnnxRuntime] = []
    monkeypatch.setattr(OnnxRuntime, "close", lambda self: closed.append(self))
    logits = language.golden_outputs("fp32")["logits"] + 1
    with pytest.raises(InvalidPackage):
        load_generative(changed_golden(language, tmp_path, logits=logits), CONFIG, detect_host())
    assert len(closed) == 2


def test_a_manifest_that_describes_other_graphs_is_refused(language: ModelPackage) -> None:
    variant = language.manifest.variants["fp32"]
    lying = variant.graphs | {"copy": msgspec.structs.replace(variant.graphs["copy"], inputs=())}
    variants = {"fp32": msgspec.structs.replace(variant, graphs=lying)}
    manifest = msgspec.structs.replace(language.manifest, variants=variants)
    with pytest.raises(InvalidPackage, match="the manifest promises inputs"):
        open_generative(ModelPackage(language.folder, manifest, language.digest), "fp32", 1, ONE_THREAD)
