"""Image classifiers of transformers."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from export.import_facts import ImportFacts
from export.transformers_folder import TransformersModel
from export.transformers_module import AdaptedModel, Original, TransformersGraph, pool
from tasks.classification import ClassificationSpec
from tasks.task import Array


class ClassifierGraph(TransformersGraph):
    """image → (logits [B, C], embedding [B, D])."""

    output_names: ClassVar[tuple[str, ...]] = ("logits", "embedding")

    def finish(self, answer: Any) -> tuple[Tensor, ...]:
        return answer.logits, pool(answer.hidden_states[-1])


def adapt_classifier(opened: TransformersModel, facts: ImportFacts) -> AdaptedModel:
    """The embedding is the mean of the last hidden state."""
    spec = ClassificationSpec(labels=opened.labels, image=opened.image, temperature=facts.temperature)
    return AdaptedModel(spec, ClassifierGraph(opened), Original(opened, conclude).run)


def conclude(answer: Any) -> dict[str, Array]:
    """See `Original`."""
    return {"logits": answer.logits.numpy(), "embedding": pool(answer.hidden_states[-1]).numpy()}
