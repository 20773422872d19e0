"""`tidegate import` of a language model: a transformers folder, through the same verification and the same gates."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from export.generative.pipeline import export_generative
from export.generative.recipe import GenerativeRecipe
from export.generative.subject import GenerativeSubject
from export.generative.transformers_files import spec_of
from export.generative.transformers_llama import open_llama
from export.import_facts import ImportFacts
from export.lineage import now
from registry.manifest import Lineage
from registry.package import ModelPackage
from tasks.errors import BadInput
from training.data.config import TextFilesConfig
from training.data.problems import Problems
from training.data.source import Example
from training.data.text_files import read_texts

SEED = 0
SPARE_SHARE = 0.2
"""Of the sample texts: they only widen the profile."""


def import_llama(
    folder: Path, facts: ImportFacts, samples: Path, recipe: GenerativeRecipe, output: Path
) -> ModelPackage:
    """A sealed package in the new folder `output`. `samples`: UTF-8 texts that the model has not learnt, a file or a
    folder of them. Raises BadInput, Unsupported, GateFailed."""
    with TemporaryDirectory() as assets:
        subject = subject_of_llama(folder, facts, samples, Path(assets))
        return export_generative(subject, recipe, output)


def subject_of_llama(folder: Path, facts: ImportFacts, samples: Path, assets: Path) -> GenerativeSubject:
    """`assets`: a folder that gets the files which the task names."""
    texts = load_texts(samples)
    network, config = open_llama(folder, facts.text.context)
    num_spare = int(len(texts) * SPARE_SHARE)
    return GenerativeSubject(
        name=facts.name,
        task_spec=spec_of(folder, config, network.context, assets),
        folder=assets,
        decoder=network,
        encoder=None,
        held_out=texts[num_spare:],
        spare=texts[:num_spare],
        lineage=Lineage(created_at=now(), source=f"imported from {folder.name}", dataset_digest=digest_texts(texts)),
    )


def load_texts(samples: Path) -> list[Example]:
    """In random order. Raises BadInput where there are none, or one is no UTF-8."""
    if not samples.exists():
        raise BadInput(
            f"{samples} does not exist; it must be a UTF-8 text, or a folder of them, to prove the model with"
        )
    problems = Problems()
    texts = read_texts(samples, TextFilesConfig(path=str(samples)), problems)
    problems.raise_any("samples")
    order = np.random.default_rng(SEED).permutation(len(texts))
    return [Example(texts[int(index)].encode(), None) for index in order]


def digest_texts(texts: list[Example]) -> str:
    """sha256 over all of them, in order."""
    total = hashlib.sha256()
    for each in texts:
        total.update(hashlib.sha256(each.payload).digest())
    return total.hexdigest()
