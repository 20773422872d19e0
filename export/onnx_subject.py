"""An existing ONNX file as the subject of an export, held to its own unmodified answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from export.held_out import run_capped
from export.import_facts import ImportFacts, InputFacts
from export.import_samples import digest_samples, load_classes
from export.lineage import now
from export.subject import Subject
from export.wrap_onnx import AnswerShape, expose, find_input, free_batch, modernise, shape_of, wrap_graph
from registry.manifest import Lineage
from serving.runtimes.onnx_runtime import NUMPY_TYPES, OnnxRuntime
from tasks.classification import ClassificationSpec, softmax
from tasks.errors import BadInput
from tasks.task import Array

PROBE_BATCH = 3
BATCH_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Original:
    """The unmodified model with its scores and embedding as outputs (the last is the embedding)."""

    runtime: OnnxRuntime
    facts: ImportFacts
    max_batch: int | None

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """`image` uint8 [batch, height, width, 3] → `logits` and `embedding`, by preprocessing in numpy: a path of its
        own, so that a mistake in the wrapped graph can not hide."""
        spec = self.runtime.inputs[0]
        pixels = prepare(tensors["image"], self.facts.input or InputFacts()).astype(NUMPY_TYPES[spec.dtype])
        outputs = run_capped(self.runtime.run, {spec.name: pixels}, self.max_batch)
        scores, embedding = (outputs[each.name] for each in (self.runtime.outputs[0], self.runtime.outputs[-1]))
        logits = scores.reshape(len(scores), -1).astype(np.float32)
        if self.facts.output.kind == "probabilities":
            logits = np.log(np.maximum(logits, np.float32(1e-12)))
        same = len(self.runtime.outputs) == 1
        return {"logits": logits, "embedding": logits if same else pool(embedding)}


def prepare(image: Array, facts: InputFacts) -> Array:
    """What the model's documentation asks of a caller."""
    ordered = image if facts.channels == "rgb" else image[..., ::-1]
    scaled = ordered.astype(np.float32) * np.float32(facts.rescale)
    normalised = (scaled - np.array(facts.mean, np.float32)) / np.array(facts.std, np.float32)
    return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2) if facts.layout == "nchw" else normalised)


def pool(embedding: Array) -> Array:
    """[batch, channels, height, width] → mean over space; anything else flat. FP32 [batch, dimension]."""
    averaged = embedding.mean(axis=(2, 3)) if embedding.ndim == 4 else embedding.reshape(len(embedding), -1)
    return np.asarray(averaged, np.float32)


def subject_of_onnx(path: Path, facts: ImportFacts, samples: Path) -> Subject:
    """Raises BadInput where the file, the facts and the samples do not belong together."""
    if facts.image is None or not facts.labels:
        raise BadInput(f"importing {path.name} needs labels and image (height, width) in the TOML")
    data, input_facts = load_classes(samples, facts.labels), facts.input or InputFacts()
    model = modernise(read_model(path))
    picture = find_input(model, facts.image, input_facts)
    scores = facts.output.scores or model.graph.output[0].name
    exposed = expose(model, [scores, facts.output.embedding or scores])
    max_batch = fixed_batch(shape_of(picture))
    original = Original(open_model(exposed), facts, max_batch)
    probe = probe_pictures(facts)
    answers = original.run({"image": probe})
    check_scores(answers["logits"], facts)
    widened = free_batch(exposed) if max_batch else exposed
    usable = max_batch is None or answers_alike(Original(open_model(widened), facts, None), original, probe)
    shape = AnswerShape(
        num_scores=len(facts.labels),
        embedding_rank=2 if len(original.runtime.outputs) == 1 else len(original.runtime.outputs[1].shape),
        embedding_dim=answers["embedding"].shape[1],
    )
    wrapped = wrap_graph(widened if usable else exposed, picture, facts.image, input_facts, facts.output, shape)

    def write_graph(target: Path, opset: int) -> None:
        onnx.save(wrapped, target)

    return Subject(
        name=facts.name,
        task_spec=ClassificationSpec(labels=facts.labels, image=facts.image, temperature=facts.temperature),
        reference=original.run,
        write_graph=write_graph,
        data=data,
        lineage=Lineage(created_at=now(), source=f"imported from {path.name}", dataset_digest=digest_samples(data)),
        max_batch=None if usable else max_batch,
    )


def read_model(path: Path) -> Any:
    """Raises BadInput if it is not a valid ONNX file."""
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf and the checker each have their own
        raise BadInput(f"{path} is not a valid ONNX model: {error}") from error
    return model


def open_model(model: Any) -> OnnxRuntime:
    """Raises BadInput where ONNX Runtime refuses the graph."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        try:
            return OnnxRuntime(path)
        except Exception as error:  # its exceptions share no base class of their own
            raise BadInput(f"ONNX Runtime can not load the graph: {error}") from error


def fixed_batch(shape: list[int]) -> int | None:
    """None where the batch is free. Raises BadInput for a fixed batch above one: single pictures could not be asked."""
    if shape[0] in (-1, 0):
        return None
    if shape[0] > 1:
        raise BadInput(f"the graph takes batches of exactly {shape[0]}; export it with a free batch or a batch of 1")
    return shape[0]


def probe_pictures(facts: ImportFacts) -> Array:
    """Noise: uint8 [PROBE_BATCH, height, width, 3]."""
    assert facts.image is not None
    shape = (PROBE_BATCH, facts.image.height, facts.image.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def check_scores(logits: Array, facts: ImportFacts) -> None:
    """Raises BadInput if the scores are not one for each label, or not of the kind that the facts say."""
    if logits.shape[1] != len(facts.labels):
        raise BadInput(f"the model gives {logits.shape[1]} scores, and {len(facts.labels)} labels are listed")
    if facts.output.kind == "probabilities" and not np.allclose(softmax(logits), np.exp(logits), atol=1e-3):
        raise BadInput('the scores do not sum to one: set output.kind = "logits"')


def answers_alike(widened: Original, original: Original, probe: Array) -> bool:
    """Does a graph whose batch was fixed answer a larger batch as it answers its pictures one by one?"""
    try:
        together = widened.run({"image": probe})["logits"]
    except Exception:  # a reshape to the fixed size; ONNX Runtime raises various kinds
        return False
    alone = original.run({"image": probe})["logits"]
    return together.shape == alone.shape and bool(np.allclose(together, alone, atol=BATCH_TOLERANCE))
