"""A package of a model that generates opens with its tokenizer and roles, or says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from registry.manifest import GoldenOutputs, Graph, Lineage, Manifest, Requirements, Variant
from registry.package import ModelPackage, open_package, seal_package
from serving.model_kinds import prove_variant
from serving.runtimes.compute_threads import ONE_THREAD
from tasks.errors import InvalidPackage
from tasks.task import TensorSpec, open_task
from tasks.text import train_byte_level_bpe
from tests.handmade import build_package, plain_evidence

VOCABULARY = 300
SPEC = {
    "kind": "text_generation",
    "vocabulary": VOCABULARY,
    "context": 32,
    "end_tokens": [0],
    "chat_template": "chat.jinja",
}
TEMPLATE = "{% for message in messages %}{{ message.content }}\n{% endfor %}"


V1 = Path(__file__).parent / "packages"


def spec(name: str, dtype: str, *shape: int) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def decoder_graph() -> Graph:
    return Graph(
        file="fp32/decoder.onnx",
        inputs=(
            spec("tokens", "INT64", -1, -1),
            spec("num_cached", "INT32", -1),
            spec("num_new", "INT32", -1),
            spec("wanted", "INT64", -1, 2),
            spec("past_key_0", "FP32", -1, 2, 32, 8),
        ),
        outputs=(spec("logits", "FP32", -1, VOCABULARY), spec("present_key_0", "FP32", -1, 2, 32, 8)),
    )


def copy_graph() -> Graph:
    return Graph(
        file="fp32/copy.onnx",
        inputs=(spec("source_key_0", "FP32", 1, 2, 32, 8),),
        outputs=(spec("target_key_0", "FP32", 1, 2, 32, 8),),
    )


def variant(**changes: Any) -> Variant:
    whole = Variant(
        precision="fp32",
        graphs={"decoder": decoder_graph(), "copy": copy_graph()},
        requires=Requirements(),
        golden=GoldenOutputs(file="fp32/golden.npz", max_abs_difference={"logits": 1e-4, "continuation": 0.0}),
        evidence=plain_evidence(1),
        profile="fp32/profile.json",
    )
    return msgspec.structs.replace(whole, **changes)


def sealed(folder: Path, arrays: dict[str, Any] | None = None, **changes: Any) -> ModelPackage:
    """A package whose graphs are never run, with some facts of its manifest changed."""
    (folder / "golden").mkdir(parents=True)
    (folder / "fp32").mkdir()
    (folder / "tokenizer.json").write_bytes(train_byte_level_bpe(["so long, and thanks"] * 9, 270, ["<|end|>"]))
    (folder / "chat.jinja").write_text(TEMPLATE)
    for name in ("fp32/decoder.onnx", "fp32/copy.onnx", "fp32/profile.json"):
        (folder / name).write_bytes(b"{}")
    for index, prompt in enumerate(("so long", "thänks")):
        (folder / f"golden/{index:04}.txt").write_text(prompt, "utf-8")
    golden = {"logits": np.zeros((2, VOCABULARY), np.float32), "continuation": np.array([[5, 6, 7], [8, -1, -1]])}
    np.savez(folder / "fp32" / "golden.npz", **(golden if arrays is None else arrays))
    facts: dict[str, Any] = {
        "name": "prose",
        "task": SPEC,
        "image_sizes": (),
        "batch_buckets": (1, 4),
        "variants": {"fp32": variant()},
        "golden_inputs": ("golden/0000.txt", "golden/0001.txt"),
        "lineage": Lineage(created_at="2026-01-01T00:00:00Z", source="built by hand"),
    }
    return seal_package(folder, Manifest(**{**facts, **changes}))


def test_it_opens_with_prompts_tokenizer_and_promises(tmp_path: Path) -> None:
    sealed(tmp_path / "package")
    package = open_package(tmp_path / "package")
    task = package.open_generative_task("fp32")
    assert task.tokenizer.decode(task.prompt("so long").tokens) == "so long"
    assert [payload.decode() for payload in package.golden_inputs()] == ["so long", "thänks"]
    assert package.golden_outputs("fp32")["continuation"].tolist() == [[5, 6, 7], [8, -1, -1]]
    assert package.graph_path("fp32", "decoder").name == "decoder.onnx"


@pytest.mark.parametrize("name", ["v1-llama", "v1-lstm"])
def test_a_package_of_schema_version_1_continues_for_ever_as_it_did(name: str) -> None:
    package = open_package(V1 / name)
    assert package.manifest.schema_version == 1
    for variant in package.manifest.variants:
        prove_variant(package, variant, ONE_THREAD)


def test_each_kind_of_task_is_opened_by_its_own_name(tmp_path: Path) -> None:
    generative, single_shot = sealed(tmp_path / "prose"), build_package(tmp_path / "colours")
    with pytest.raises(InvalidPackage, match="'text_generation' generates"):
        open_task(generative.task_spec)
    with pytest.raises(InvalidPackage, match="'classification' does not generate"):
        single_shot.open_generative_task("fp32")


def without(graph: Graph, *names: str) -> Graph:
    return msgspec.structs.replace(
        graph,
        inputs=tuple(tensor for tensor in graph.inputs if tensor.name not in names),
        outputs=tuple(tensor for tensor in graph.outputs if tensor.name not in names),
    )


def with_graphs(**graphs: Graph) -> dict[str, Any]:
    return {"variants": {"fp32": variant(graphs=graphs)}}


def with_golden(**differences: float) -> dict[str, Any]:
    golden = GoldenOutputs(file="fp32/golden.npz", max_abs_difference=differences)
    return {"variants": {"fp32": variant(golden=golden)}}


WRONG: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "no copy": (
        lambda: with_graphs(decoder=decoder_graph()),
        "must have the graphs 'copy', 'decoder'; it has 'decoder'",
    ),
    "a role of nobody": (
        lambda: with_graphs(decoder=decoder_graph(), copy=copy_graph(), main=copy_graph()),
        "it has 'copy', 'decoder', 'main'",
    ),
    "an encoder of a model of text": (
        lambda: with_graphs(decoder=decoder_graph(), copy=copy_graph(), encoder=copy_graph()),
        "it has 'copy', 'decoder', 'encoder'",
    ),
    "no count of cached tokens": (
        lambda: with_graphs(decoder=without(decoder_graph(), "num_cached"), copy=copy_graph()),
        "lacks 'num_cached'",
    ),
    "no logits": (lambda: with_graphs(decoder=without(decoder_graph(), "logits"), copy=copy_graph()), "'logits'"),
    "no state": (
        lambda: with_graphs(decoder=without(decoder_graph(), "past_key_0", "present_key_0"), copy=copy_graph()),
        "lacks a state",
    ),
    "a state that is not given back": (
        lambda: with_graphs(decoder=without(decoder_graph(), "present_key_0"), copy=copy_graph()),
        "present_x for every past_x of the decoder, which differs for: 'key_0'",
    ),
    "a copy of nothing": (
        lambda: with_graphs(decoder=decoder_graph(), copy=without(copy_graph(), "target_key_0")),
        "target_x for every past_x",
    ),
    "a copy of another size": (
        lambda: with_graphs(
            decoder=decoder_graph(),
            copy=msgspec.structs.replace(copy_graph(), inputs=(spec("source_key_0", "FP32", 1, 2, 16, 8),)),
        ),
        "source_key_0 is FP32",
    ),
    "logits of another vocabulary": (lambda: {"task": {**SPEC, "vocabulary": 299}}, "the vocabulary is 299"),
    "a cache of another context": (
        lambda: {"task": {**SPEC, "context": 33}},
        "past_key_0 of [-1, 2, 32, 8]; expected [rows, heads, context, width] with a context of 33",
    ),
    "a task of its own": (lambda: {"variants": {"fp32": variant(task=SPEC)}}, "a task of its own"),
    "no promised continuation": (lambda: with_golden(logits=1e-4), "lack 'continuation'"),
    "a continuation that may differ": (lambda: with_golden(logits=1e-4, continuation=1.0), "must be 0"),
    "sizes of pictures": (lambda: {"image_sizes": ((32, 32),)}, "it takes no pictures"),
    "no tokenizer": (
        lambda: {"task": {**SPEC, "tokenizer": "words.json"}},
        "'words.json', which the manifest does not",
    ),
    "no template": (lambda: {"task": {**SPEC, "chat_template": "x.jinja"}}, "'x.jinja', which the manifest does not"),
    "a tokenizer elsewhere": (lambda: {"task": {**SPEC, "tokenizer": "../tokenizer.json"}}, "tokenizer"),
    "a tokenizer of a larger model": (lambda: {"task": {**SPEC, "vocabulary": 269}}, "it belongs to another model"),
    "an end beyond the vocabulary": (lambda: {"task": {**SPEC, "end_tokens": [300]}}, "below the vocabulary of 300"),
    "no context": (lambda: {"task": {**SPEC, "context": 1}}, "context"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_model_that_could_not_generate_is_refused(tmp_path: Path, what: str) -> None:
    change, message = WRONG[what]
    with pytest.raises(InvalidPackage) as caught:
        sealed(tmp_path / "package", **change())
    assert message in str(caught.value)


LOGITS = np.zeros((2, VOCABULARY), np.float32)
GOLDEN: dict[str, tuple[dict[str, Any], str]] = {
    "logits of another vocabulary": (
        {"logits": np.zeros((2, 7), np.float32), "continuation": np.zeros((2, 3), np.int64)},
        "float32 [2, 7], not float32 [inputs, 300]",
    ),
    "tokens that are numbers": ({"logits": LOGITS, "continuation": np.zeros((2, 3))}, "not int64 [inputs, tokens]"),
    "tokens in a row": ({"logits": LOGITS, "continuation": np.zeros(2, np.int64)}, "not int64 [inputs, tokens]"),
    "a token that does not exist": ({"logits": LOGITS, "continuation": np.full((2, 3), 300)}, "from 0 to 299"),
    "no tokens at all": ({"logits": LOGITS, "continuation": np.zeros((2, 0), np.int64)}, "has room for 1 to 31"),
    "more tokens than fit": ({"logits": LOGITS, "continuation": np.zeros((2, 32), np.int64)}, "has room for 1 to 31"),
    "a gap": ({"logits": LOGITS, "continuation": np.array([[1, -1, 2], [1, 2, 3]])}, "behind the last"),
}


@pytest.mark.parametrize("what", GOLDEN)
def test_golden_answers_that_no_model_gave_are_refused(tmp_path: Path, what: str) -> None:
    arrays, message = GOLDEN[what]
    with pytest.raises(InvalidPackage) as caught:
        sealed(tmp_path / "package", arrays)
    assert message in str(caught.value)


def test_a_template_that_no_chat_fits_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    package = sealed(folder)
    (folder / "manifest.json").unlink()
    (folder / "chat.jinja").write_text("{% for message in messages %}")
    with pytest.raises(InvalidPackage, match="can not put one message of a user"):
        seal_package(folder, msgspec.structs.replace(package.manifest, files={}))


def test_a_model_of_pictures_needs_a_size(tmp_path: Path) -> None:
    package = build_package(tmp_path / "colours")
    (package.folder / "manifest.json").unlink()
    with pytest.raises(InvalidPackage, match="there must be one or more"):
        seal_package(package.folder, msgspec.structs.replace(package.manifest, image_sizes=(), files={}))
