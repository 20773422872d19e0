"""Models that were trained elsewhere: they are reproduced, or refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from export.import_facts import ImportFacts, InputFacts, OutputFacts, load_import_facts
from export.import_model import import_model
from export.recipe import ExportRecipe
from registry.package import ModelPackage
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.errors import BadInput, InvalidRecipe
from tasks.image import ImageSpec

LABELS = ("red", "green", "blue")
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
FACTS = ImportFacts(
    name="foreign", labels=LABELS, image=ImageSpec(height=16, width=16), input=InputFacts(mean=MEAN, std=STD)
)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures of each colour, a little noisy."""
    folder, rng = tmp_path_factory.mktemp("samples"), np.random.default_rng(0)
    for index, label in enumerate(LABELS):
        (folder / label).mkdir()
        for number in range(40):
            pixels = rng.integers(0, 120, (20, 24, 3))
            pixels[..., index] += rng.integers(40, 120)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / label / f"{number}.png")
    return folder


def foreign_graph(batch: int | str = "n", opset: int = 17, softmax: bool = False) -> onnx.ModelProto:
    """`pixels` FP32 [batch, 3, 16, 16] → convolution → mean over space `inner` → `answer` [batch, 3]."""
    rng = np.random.default_rng(1)
    weights = {
        "kernel": rng.normal(0, 0.1, (8, 3, 3, 3)).astype(np.float32),
        "head": rng.normal(0, 1.0, (8, 3)).astype(np.float32),
        "bias": np.zeros(3, np.float32),
    }
    weights["kernel"][:3] = 0.3 * np.eye(3, dtype=np.float32)[:, :, None, None]
    weights["head"][:3], weights["head"][3:] = 3 * np.eye(3, dtype=np.float32), 0.1 * weights["head"][3:]
    nodes = [
        helper.make_node("Conv", ["pixels", "kernel"], ["features"], strides=[2, 2]),
        helper.make_node("Relu", ["features"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["inner"], axis=1),
        helper.make_node("Gemm", ["inner", "head", "bias"], ["scores" if softmax else "answer"]),
        *([helper.make_node("Softmax", ["scores"], ["answer"], axis=1)] if softmax else []),
    ]
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [batch, 3, 16, 16])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.fixture
def loose(recipe: ExportRecipe) -> ExportRecipe:
    """Few samples: one flipped int8 decision may not fail a test about importing."""
    tolerances = {
        name: msgspec.structs.replace(
            config,
            tolerances=msgspec.structs.replace(
                config.tolerances, min_decision_agreement=0.9, max_metric_drop=0.1, max_calibration_increase=0.2
            ),
        )
        for name, config in recipe.variants.items()
    }
    return msgspec.structs.replace(recipe, variants=tolerances)


def imported(
    model: onnx.ModelProto, facts: ImportFacts, samples: Path, recipe: ExportRecipe, folder: Path
) -> ModelPackage:
    onnx.save(model, folder / "foreign.onnx")
    return import_model(folder / "foreign.onnx", facts, samples, recipe, folder / "package")


def by_hand(model: onnx.ModelProto, folder: Path, images: np.ndarray) -> np.ndarray:
    """What the unmodified model answers to uint8 [N, 16, 16, 3]."""
    onnx.save(model, folder / "alone.onnx")
    pixels = ((images / 255 - MEAN) / STD).transpose(0, 3, 1, 2).astype(np.float32)
    runtime = OnnxRuntime(folder / "alone.onnx")
    return np.concatenate([runtime.run({"pixels": each[None]})["answer"] for each in pixels])


@pytest.mark.parametrize("batch", ["n", 1])
@pytest.mark.parametrize("opset", [12, 17])
def test_foreign_graph_is_reproduced(
    batch: int | str, opset: int, samples: Path, loose: ExportRecipe, tmp_path: Path
) -> None:
    model, facts = foreign_graph(batch, opset), msgspec.structs.replace(FACTS, output=OutputFacts(embedding="inner"))
    package = imported(model, facts, samples, loose, tmp_path)
    images = np.random.default_rng(5).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    outputs = OnnxRuntime(package.graph_path("fp32")).run({"image": images})
    np.testing.assert_allclose(outputs["logits"], by_hand(model, tmp_path, images), atol=1e-4)
    assert outputs["embedding"].shape == (6, 8)
    assert set(package.manifest.variants) == {"fp32", "int8"}
    assert package.variant("fp32").evidence.metrics["decision_agreement"] == 1.0


def test_graph_that_can_not_batch_is_served_one_by_one(samples: Path, loose: ExportRecipe, tmp_path: Path) -> None:
    model = foreign_graph(1)
    model.graph.node[3].CopyFrom(helper.make_node("Reshape", ["pooled", "shape"], ["inner"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 8], np.int64), "shape"))
    package = imported(model, FACTS, samples, loose, tmp_path)
    assert package.manifest.batch_buckets == (1,)


def test_probabilities_become_logits(samples: Path, loose: ExportRecipe, tmp_path: Path) -> None:
    model, facts = foreign_graph(softmax=True), msgspec.structs.replace(FACTS, output=OutputFacts(kind="probabilities"))
    package = imported(model, facts, samples, loose, tmp_path)
    images = np.random.default_rng(5).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    logits = OnnxRuntime(package.graph_path("fp32")).run({"image": images})["logits"]
    np.testing.assert_allclose(np.exp(logits), by_hand(model, tmp_path, images), atol=1e-4)


def test_logits_passed_off_as_probabilities_are_refused(samples: Path, loose: ExportRecipe, tmp_path: Path) -> None:
    facts = msgspec.structs.replace(FACTS, output=OutputFacts(kind="probabilities"))
    with pytest.raises(BadInput, match="do not sum to one"):
        imported(foreign_graph(), facts, samples, loose, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ("red", "green", "blue", "black")}, "gives 3 scores, and 4 labels are listed"),
        ({"labels": ()}, "needs labels and image"),
        ({"image": ImageSpec(height=32, width=32)}, "say"),
        ({"input": InputFacts(layout="nhwc")}, "input.layout"),
        ({"output": OutputFacts(embedding="nowhere")}, "no tensor 'nowhere'"),
    ],
)
def test_facts_that_do_not_fit_are_refused(
    change: dict, message: str, samples: Path, loose: ExportRecipe, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=message):
        imported(foreign_graph(), msgspec.structs.replace(FACTS, **change), samples, loose, tmp_path)
    assert not (tmp_path / "package").exists()


def test_input_of_another_rank_is_refused(samples: Path, loose: ExportRecipe, tmp_path: Path) -> None:
    model = foreign_graph()
    flat = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 768])
    model.graph.input[0].CopyFrom(flat)
    del model.graph.node[:4]
    model.graph.node.insert(0, helper.make_node("MatMul", ["pixels", "wide"], ["inner"]))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((768, 8), np.float32), "wide"))
    with pytest.raises(BadInput, match="2 axes"):
        imported(model, FACTS, samples, loose, tmp_path)


def test_samples_are_needed_and_must_be_of_known_labels(samples: Path, loose: ExportRecipe, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        imported(foreign_graph(), FACTS, tmp_path / "nowhere", loose, tmp_path)
    (tmp_path / "samples" / "purple").mkdir(parents=True)
    with pytest.raises(BadInput, match="purple"):
        imported(foreign_graph(), FACTS, tmp_path / "samples", loose, tmp_path)
    (tmp_path / "samples" / "purple").rename(tmp_path / "samples" / "red")
    with pytest.raises(BadInput, match="0 pictures"):
        imported(foreign_graph(), FACTS, tmp_path / "samples", loose, tmp_path)


def test_not_a_model(samples: Path, loose: ExportRecipe, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="neither"):
        import_model(tmp_path, FACTS, samples, loose, tmp_path / "package")
    (tmp_path / "broken.onnx").write_bytes(b"\x08not a model")
    with pytest.raises(BadInput, match="not a valid ONNX model"):
        import_model(tmp_path / "broken.onnx", FACTS, samples, loose, tmp_path / "package")


def test_toml_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "facts.toml"
    path.write_text('name = "flowers"\nlabels = ["daisy", "rose"]\n[image]\nheight = 224\nwidth = 224\nfit = "crop"\n')
    assert load_import_facts(path).image == ImageSpec(height=224, width=224, fit="crop")
    path.write_text('name = "flowers"\nlabel = ["daisy"]\n')
    with pytest.raises(InvalidRecipe, match=r"facts\.toml: .*`label`; labels is nearest; known: detection, image, "):
        load_import_facts(path)
    path.write_text("name = [")
    with pytest.raises(InvalidRecipe, match="not a readable TOML"):
        load_import_facts(path)
    with pytest.raises(InvalidRecipe, match="not a readable TOML"):
        load_import_facts(tmp_path / "nowhere.toml")


def test_transformers_folder_is_reproduced(samples: Path, loose: ExportRecipe, tmp_path: Path) -> None:
    folder = transformers_folder(tmp_path / "resnet")
    # Its labels are wrong for nearly every picture: what counts is that the package is as wrong as the model is.
    package = import_model(folder, ImportFacts(name="hub-model"), samples, loose, tmp_path / "package")
    assert package.manifest.task["labels"] == list(LABELS)
    assert package.manifest.image_sizes == ((24, 24),)
    assert package.manifest.task["image"]["fit"] == "crop"
    assert package.variant("fp32").evidence.metrics["decision_agreement"] == 1.0


def transformers_folder(folder: Path) -> Path:
    """A small random ResNet as `save_pretrained` leaves it, with a picture processor's preprocessing."""
    import torch
    from transformers import AutoModelForImageClassification, ResNetConfig

    torch.manual_seed(0)
    names = dict(enumerate(LABELS))
    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", id2label=names, label2id={}
    )
    AutoModelForImageClassification.from_config(config).save_pretrained(folder)
    preprocessing = {
        "do_resize": True,
        "size": {"shortest_edge": 28},
        "do_center_crop": True,
        "crop_size": {"height": 24, "width": 24},
        "resample": 3,
        "do_normalize": True,
        "image_mean": MEAN,
        "image_std": STD,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder
