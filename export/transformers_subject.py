"""A local transformers folder as the subject of an export, held to its own unmodified answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from export.import_facts import ImportFacts, TaskName
from export.import_samples import LOADERS, digest_samples
from export.lineage import now
from export.subject import Subject
from export.transformers_classification import adapt_classifier
from export.transformers_detection import adapt_detector
from export.transformers_folder import TransformersModel, open_folder
from export.transformers_module import AdaptedModel
from export.transformers_segmentation import adapt_segmenter
from registry.manifest import Lineage

ADAPTERS: Mapping[TaskName, Callable[[TransformersModel, ImportFacts], AdaptedModel]] = {
    "classification": adapt_classifier,
    "detection": adapt_detector,
    "segmentation": adapt_segmenter,
}


def subject_of_transformers(folder: Path, facts: ImportFacts, samples: Path) -> Subject:
    """Raises BadInput where the folder, the facts and the samples do not belong together."""
    opened = open_folder(folder, facts)
    adapted = ADAPTERS[facts.task](opened, facts)
    data = LOADERS[facts.task](samples, opened.labels)
    return Subject(
        name=facts.name,
        task_spec=adapted.spec,
        reference=adapted.reference,
        write_graph=adapted.write,
        data=data,
        lineage=Lineage(created_at=now(), source=f"imported from {folder.name}", dataset_digest=digest_samples(data)),
    )
