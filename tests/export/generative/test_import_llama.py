"""Importing Llamas of transformers: what comes out says what transformers' own `generate` says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from export.generative.continuation import continue_prompts
from export.generative.graph_speaker import GraphSpeaker
from export.generative.llama_config import read_llama_config
from export.generative.recipe import GenerativeRecipe
from export.generative.transformers_files import begin_token
from export.generative.transformers_llama import open_llama
from export.import_facts import ImportFacts, TextFacts
from export.import_model import import_model
from export.recipe import load_export_recipe
from tasks.errors import BadInput, GateFailed, InvalidRecipe, Unsupported
from tests.llama_folders import CHAT_TEMPLATE, change_config, llama, save_folder, save_texts

FACTS = ImportFacts(name="imported", task="text_generation")
KINDS: dict[str, dict[str, Any]] = {
    "grouped": {},
    "tied": {"tie_word_embeddings": True},
    "each head its own": {"num_key_value_heads": 4, "intermediate_size": 160, "rms_norm_eps": 1e-5},
    "one key for all": {"num_key_value_heads": 1, "num_hidden_layers": 3},
}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_texts(tmp_path_factory.mktemp("samples") / "texts")


def tolerant_recipe() -> GenerativeRecipe:
    """On random weights compression may cost anything, but the float32 graphs must be right."""
    counts = ["num_verify=16", "num_continuations=16", "num_profile=12", "num_golden=4", "latency_seconds=0.01"]
    loose = [
        f"variants.{name}.tolerances={{max_bits_per_byte_increase=1.0, min_decision_agreement=0.0}}"
        for name in ("int8", "int4")
    ]
    found = load_export_recipe("text_generation-quick", [*counts, "continuation_tokens=12", *loose])
    assert isinstance(found, GenerativeRecipe)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_package_continues_as_transformers_does(kind: str, samples: Path, tmp_path: Path) -> None:
    model = llama(**KINDS[kind])
    folder = save_folder(model, tmp_path / "llama")
    package = import_model(folder, FACTS, samples, tolerant_recipe(), tmp_path / "package")
    task = package.open_generative_task("fp32")
    graphs = {role: package.graph_path("fp32", role) for role in ("decoder", "copy")}
    speaker = GraphSpeaker(graphs, 3, task.context, 1)
    prompts = [task.prompt(text) for text in ("every lock holds", "0 °C", "the naïve name. no thread", "a", "what was")]
    answers = continue_prompts(speaker.decoder, prompts, 20, task.end_tokens)
    speaker.close()
    for each in answers:
        tokens = torch.tensor([each.prompt.tokens])
        said = model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=20, do_sample=False)
        assert each.tokens == said[0, len(each.prompt.tokens) :].tolist()


def test_package_has_the_folders_words(samples: Path, tmp_path: Path) -> None:
    folder = save_folder(llama(), tmp_path / "llama")
    generation = {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "eos_token_id": [0, 5]}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    package = import_model(folder, FACTS, samples, tolerant_recipe(), tmp_path / "package")
    assert package.manifest.name == "imported"
    assert package.manifest.task["end_tokens"] == [0, 5]
    assert package.manifest.task["context"] == 64
    params = package.open_generative_task("fp32").parse_params({})
    assert (params.temperature, params.top_p) == (0.7, 0.9)
    assert (package.folder / "chat_template.jinja").read_text() == CHAT_TEMPLATE
    assert package.manifest.lineage.source == "imported from llama"


def test_begin_token_is_what_the_tokenizer_puts_before_a_text(tmp_path: Path) -> None:
    folder = save_folder(llama(), tmp_path / "llama")
    assert begin_token(folder) is None
    path = folder / "tokenizer.json"
    facts = json.loads(path.read_text())
    whole = [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    facts["post_processor"] = {
        "type": "TemplateProcessing",
        "single": whole,
        "pair": [*whole, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}},
    }
    path.write_text(json.dumps(facts))
    assert begin_token(folder) == 0


def test_fields_of_older_releases_mean_the_same(tmp_path: Path) -> None:
    folder = save_folder(llama(), tmp_path / "llama")
    change_config(folder, rope_parameters=None, rope_theta=5_000.0, head_dim=None)
    assert read_llama_config(folder).options.rope_base == 5_000.0
    network, _ = open_llama(folder, 4096)
    assert network.context == 64
    assert open_llama(folder, 32)[0].context == 32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mistral"}, "'mistral'"),
        ({"hidden_act": "gelu"}, "'gelu'"),
        ({"attention_bias": True}, "biases"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0}}, "'llama3'"),
        ({"rope_parameters": None, "rope_scaling": {"type": "linear", "factor": 2.0}}, "'linear'"),
        ({"head_dim": 32}, "head_dim"),
        ({"sliding_window": 32}, "sliding windows"),
        ({"quantization_config": {"bits": 4}}, "quantized"),
    ],
)
def test_what_our_network_can_not_be_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = save_folder(llama(), tmp_path / "llama")
    change_config(folder, **changes)
    with pytest.raises(Unsupported, match=message):
        open_llama(folder, 64)


def test_everything_unsupported_is_named_at_once(tmp_path: Path) -> None:
    folder = save_folder(llama(), tmp_path / "llama")
    change_config(folder, mlp_bias=True, sliding_window=8)
    with pytest.raises(Unsupported, match=r"biases.*sliding windows"):
        open_llama(folder, 64)


def test_network_that_answers_otherwise_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from export.generative import transformers_llama

    mixed_up = {**transformers_llama.PACKED}
    mixed_up["mlp.gate_up.weight"] = ("mlp.up_proj.weight", "mlp.gate_proj.weight")
    monkeypatch.setattr(transformers_llama, "PACKED", mixed_up)
    with pytest.raises(GateFailed, match="answers otherwise"):
        open_llama(save_folder(llama(), tmp_path / "llama"), 64)


def test_folder_without_weights_or_tokenizer_says_what_to_do(samples: Path, tmp_path: Path) -> None:
    folder = save_folder(llama(), tmp_path / "llama")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BadInput, match="save_pretrained"):
        import_model(folder, FACTS, samples, tolerant_recipe(), tmp_path / "package")
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="safetensors"):
        open_llama(folder, 64)


def test_missing_samples_and_foreign_recipes_are_refused(samples: Path, tmp_path: Path) -> None:
    folder = save_folder(llama(), tmp_path / "llama")
    with pytest.raises(BadInput, match="does not exist"):
        import_model(folder, FACTS, tmp_path / "nowhere", tolerant_recipe(), tmp_path / "package")
    with pytest.raises(InvalidRecipe, match="generative"):
        import_model(folder, FACTS, samples, load_export_recipe("quick"), tmp_path / "package")


def test_context_of_the_facts_is_a_limit(samples: Path, tmp_path: Path) -> None:
    folder = save_folder(llama(), tmp_path / "llama")
    facts = ImportFacts(name="short", task="text_generation", text=TextFacts(context=40))
    package = import_model(folder, facts, samples, tolerant_recipe(), tmp_path / "package")
    assert package.manifest.task["context"] == 40
