"""A whole generative export: what the package holds, and what makes an export fail."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from export.compress.half_precision import Bf16
from export.forgotten import read_forgotten
from export.generative.next_tokens import TOKEN_CLASSES
from export.generative.pipeline import export_generative
from export.generative.recipe import GenerativeRecipe
from export.generative.subject import GenerativeSubject
from export.report import format_report
from export.rival import Rival
from export.tolerance_missed import ToleranceMissed
from monitoring.profile import decode_profile
from registry.package import ModelPackage, open_package
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.errors import BadInput, Conflict, GateFailed, InvalidRecipe
from tests.language_subjects import language_subject
from training.models.llama import Llama


@pytest.fixture(scope="module")
def package(
    subject: GenerativeSubject, recipe: GenerativeRecipe, tmp_path_factory: pytest.TempPathFactory
) -> ModelPackage:
    return export_generative(subject, recipe, tmp_path_factory.mktemp("export") / "package")


def test_package_opens_with_all_that_generating_takes(package: ModelPackage) -> None:
    opened = open_package(package.folder)
    assert set(opened.manifest.variants) == {"fp32", "int8", "int4", "fp16"}
    assert opened.manifest.image_sizes == ()
    assert opened.manifest.batch_buckets == (1, 2, 4, 8)
    assert {"tokenizer.json", "golden/0000.txt"} <= set(opened.manifest.files)
    assert len(opened.golden_inputs()) == 6
    assert all(payload.decode() for payload in opened.golden_inputs())


def test_golden_continuations_are_those_of_torch(package: ModelPackage, subject: GenerativeSubject) -> None:
    task = package.open_generative_task("fp32")
    for payload, row in zip(package.golden_inputs(), package.golden_outputs("fp32")["continuation"], strict=True):
        tokens = list(task.prompt(payload.decode()).tokens)
        for promised in row[row >= 0].tolist():
            with torch.inference_mode():
                assert int(subject.decoder(torch.tensor([tokens]))[0, -1].argmax()) == promised
            tokens.append(promised)


def test_golden_set_promises_something_of_every_variant(package: ModelPackage) -> None:
    for name in package.manifest.variants:
        continuation = package.golden_outputs(name)["continuation"]
        assert (continuation >= 0).any(axis=1).mean() > 0.5
    int8, fp32 = (package.variant(name).golden.max_abs_difference["logits"] for name in ("int8", "fp32"))
    assert int8 > fp32


def test_variants_for_a_gpu_stand_first_and_ask_for_one(package: ModelPackage) -> None:
    first, *others = package.manifest.variants.values()
    assert (first.precision, first.requires.provider) == ("fp16", "cuda")
    assert {variant.requires.provider for variant in others} == {"cpu"}


def test_evidence_says_what_compression_cost(package: ModelPackage) -> None:
    evidence = {name: variant.evidence for name, variant in package.manifest.variants.items()}
    for each in evidence.values():
        assert (each.metric, each.better, each.num_examples) == ("bits_per_byte", "lower", 40)
        assert set(each.latency_ms) == {"1", "8"}
        assert 0.2 < each.metrics["bits_per_byte"] < 3
        assert each.metrics["perplexity"] > 1
        assert each.passed
    fp32, int4 = evidence["fp32"], evidence["int4"]
    assert fp32.metrics["bits_per_byte"] == pytest.approx(fp32.metrics["trained_bits_per_byte"], rel=1e-5)
    assert int4.metrics["max_difference_logits"] > 100 * fp32.metrics["max_difference_logits"]
    assert int4.num_bytes < evidence["int8"].num_bytes < fp32.num_bytes
    (exact,) = (gate for gate in fp32.gates if gate.name == "continuations_changed")
    assert (exact.value, exact.detail) == (0, "of 24 prompts")


def test_package_says_which_tokens_and_prompts_were_forgotten(package: ModelPackage) -> None:
    for name, variant in package.manifest.variants.items():
        forgotten = read_forgotten(package.folder, name)
        assert forgotten is not None
        assert (forgotten.seeds, forgotten.num_examples) == ((0,), 24)
        assert [each.label for each in variant.evidence.per_class] == list(TOKEN_CLASSES)
        assert (f"{name}/forgotten.md" in package.manifest.files) == bool(forgotten.changes)
        assert 0 <= variant.evidence.metrics["expected_calibration_error"] < 0.5
    plain = read_forgotten(package.folder, "fp32")
    assert plain is not None
    assert not plain.changes
    assert "what it forgot" in format_report(package)


def test_half_precision_runs_without_a_gpu_too(package: ModelPackage) -> None:
    runtime = OnnxRuntime(package.graph_path("fp16", "decoder"))
    assert {spec.dtype for spec in runtime.inputs if spec.name.startswith("past_")} == {"FP16"}
    runtime.close()


def test_bfloat16_is_proved_by_its_twin(subject: GenerativeSubject, recipe: GenerativeRecipe, tmp_path: Path) -> None:
    half = msgspec.structs.replace(recipe.variants["fp16"], steps=(Bf16(),))
    variants = {"fp32": recipe.variants["fp32"], "bf16": half}
    package = export_generative(subject, msgspec.structs.replace(recipe, variants=variants), tmp_path / "package")
    first, plain = package.manifest.variants.values()
    assert (first.precision, first.requires.provider) == ("bf16", "cuda")
    decoder = first.graphs["decoder"]
    states = {each.dtype for each in (*decoder.inputs, *decoder.outputs) if "past_" in each.name or "pres" in each.name}
    assert states == {"BF16"}
    assert first.evidence.num_bytes < 0.7 * plain.evidence.num_bytes
    assert first.evidence.metrics["max_difference_logits"] > 0


def test_profile_counts_answers_to_default_requests(package: ModelPackage) -> None:
    profile = decode_profile(package.profile_bytes("fp32"))
    assert profile.num_images == 30
    assert set(profile.signals) >= {"prompt_tokens", "answer_tokens", "mean_logprob", "stop_reason"}


def test_report_has_a_row_for_each_variant(package: ModelPackage) -> None:
    report = format_report(package)
    assert [line.split()[0] for line in report.splitlines()[2:7]] == ["trained", *package.manifest.variants]
    assert "bits/byte" in report
    assert "40 held-out passages" in report


def test_lineage_names_recipe_and_libraries(package: ModelPackage) -> None:
    lineage = package.manifest.lineage
    assert lineage.recipe["export"]["num_continuations"] == 24
    assert "tokenizers" in lineage.versions


def test_graph_that_goes_wrong_after_the_first_token_fails(
    subject: GenerativeSubject, recipe: GenerativeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph that turns positions the wrong way: every first token is right, and nothing after it."""
    from export.graphs import llama_graph

    original = llama_graph.array_of

    def mirrored(tensor: torch.Tensor) -> np.ndarray:
        assert isinstance(subject.decoder, Llama)
        return -original(tensor) if torch.equal(tensor, subject.decoder.sine) else original(tensor)

    monkeypatch.setattr(llama_graph, "array_of", mirrored)
    plain = {"fp32": recipe.variants["fp32"]}
    with pytest.raises(GateFailed, match="continuations_changed") as failure:
        export_generative(subject, msgspec.structs.replace(recipe, variants=plain), tmp_path / "package")
    assert "bits_per_byte_increase" in str(failure.value)
    assert not (tmp_path / "package").exists()


def test_variant_outside_its_tolerance_fails_with_a_table(
    subject: GenerativeSubject, recipe: GenerativeRecipe, tmp_path: Path
) -> None:
    int4 = recipe.variants["int4"]
    limits = {"max_bits_per_byte_increase": 0.0001, "max_num_bytes": 10, "max_changed_share": 0.0}
    strict = msgspec.structs.replace(int4.tolerances, **limits)
    variants = {"fp32": recipe.variants["fp32"], "int4": msgspec.structs.replace(int4, tolerances=strict)}
    with pytest.raises(ToleranceMissed) as failure:
        export_generative(subject, msgspec.structs.replace(recipe, variants=variants), tmp_path / "package")
    sheet = failure.value.sheets["int4/forgotten.md"].decode()
    assert sheet.startswith("# int4 of sentences: ")
    assert "| rarest tokens | " in sheet
    missed = [line.split()[:2] for line in str(failure.value).splitlines() if line.startswith("int4 ")]
    assert ["int4", "bits_per_byte_increase"] in missed
    assert ["int4", "num_bytes"] in missed
    assert ["int4", "changed_share"] in missed


def test_lstm_passes_the_same_gates(recipe: GenerativeRecipe, tmp_path: Path) -> None:
    (tmp_path / "lstm").mkdir()
    package = export_generative(language_subject(tmp_path / "lstm", "lstm"), recipe, tmp_path / "package")
    assert set(package.manifest.variants) == {"fp32", "int8", "int4", "fp16"}
    sizes = {name: variant.evidence.num_bytes for name, variant in package.manifest.variants.items()}
    assert sizes["int4"] < sizes["int8"] < 0.7 * sizes["fp32"]


def test_no_data_no_package(subject: GenerativeSubject, recipe: GenerativeRecipe, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="held-out"):
        export_generative(replace(subject, held_out=[]), recipe, tmp_path / "package")


def test_never_over_another_package(
    subject: GenerativeSubject, recipe: GenerativeRecipe, package: ModelPackage
) -> None:
    with pytest.raises(Conflict, match="not empty"):
        export_generative(subject, recipe, package.folder)
    open_package(package.folder)


def test_champion_is_tried_on_the_same_passages(
    subject: GenerativeSubject, recipe: GenerativeRecipe, package: ModelPackage, tmp_path: Path
) -> None:
    plain = msgspec.structs.replace(recipe, variants={"fp32": recipe.variants["fp32"]})
    rival = Rival(package, np.arange(len(subject.held_out)) % 2 == 0)
    again = open_package(export_generative(subject, plain, tmp_path / "package", rival).folder)
    tried = again.manifest.rivals[package.digest]
    assert set(tried) == set(package.manifest.variants)
    ours = again.variant("fp32").evidence
    assert tried["fp32"].metrics["bits_per_byte"] == pytest.approx(ours.metrics["bits_per_byte"])
    assert tried["int4"].metrics["bits_per_byte"] > ours.metrics["bits_per_byte"]
    parts = ours.parts[package.digest]
    assert sum(part.num_examples for part in parts.values()) == ours.num_examples
    for part in parts.values():
        assert part.variant == pytest.approx(part.rival), "it is the same network"
    assert parts["known"].variant != parts["added"].variant


def test_a_model_of_other_words_is_no_rival(
    subject: GenerativeSubject, recipe: GenerativeRecipe, package: ModelPackage, tmp_path: Path
) -> None:
    shutil.copytree(package.folder, tmp_path / "champion")
    (tmp_path / "champion" / "tokenizer.json").write_bytes(b"{}")
    other = ModelPackage(tmp_path / "champion", package.manifest, package.digest)
    with pytest.raises(InvalidRecipe, match="another tokenizer"):
        export_generative(subject, recipe, tmp_path / "package", Rival(other, np.ones(len(subject.held_out), bool)))
