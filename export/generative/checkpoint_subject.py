"""A trained checkpoint as the subject of a generative export."""

from __future__ import annotations

from export.compress.learning import Learning
from export.generative.subject import GenerativeSubject
from export.lineage import now
from registry.manifest import Lineage
from tasks.errors import InvalidPackage
from tasks.generative_spec import GenerativeSpec
from training.checkpoint import Checkpoint
from training.data.joined import open_normal
from training.data.source import open_source
from training.networks.captioner import Captioner
from training.networks.language_network import LanguageNetwork


def subject_of_checkpoint(checkpoint: Checkpoint, run_id: str = "") -> GenerativeSubject:
    """The model of a checkpoint with the data of its recipe: evidence comes from the test split alone, because the
    validation split chose the best epoch. `run_id`: the run it is registered under, where the checkpoint does not say.

    Raises InvalidPackage for a checkpoint that does not generate."""
    module, facts = checkpoint.module, checkpoint.facts
    encoder = module if isinstance(module, Captioner) else None
    decoder = encoder.decoder if encoder is not None else module
    if not isinstance(decoder, LanguageNetwork) or not isinstance(checkpoint.task_spec, GenerativeSpec):
        raise InvalidPackage(f"{checkpoint.folder} holds a {type(module).__name__}, which does not answer in tokens")
    source = open_source(checkpoint.recipe.data)
    return GenerativeSubject(
        name=checkpoint.recipe.name,
        task_spec=checkpoint.task_spec,
        folder=checkpoint.folder,
        decoder=decoder,
        encoder=encoder,
        held_out=source.split("test"),
        spare=source.split("validation"),
        lineage=Lineage(
            created_at=now(),
            source=f"trained by recipe {checkpoint.recipe.name}",
            dataset_digest=facts.dataset_digest,
            git_commit=facts.git_commit,
            run_id=run_id or facts.run_id,
            recipe={"training": facts.recipe},
            versions=facts.libraries,
        ),
        normal=open_normal(checkpoint.recipe.data),
        learning=Learning(module, checkpoint.recipe, checkpoint.task_spec, source),
    )
