"""What a generative export works on: a trained model with its files and its data, wherever it came from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from export.compress.learning import Learning
from export.generative.passage import Passage, caption_passages, cut_documents
from export.generative.recipe import GenerativeRecipe
from export.held_out import draw_indices
from export.subject import Examples
from registry.manifest import Lineage
from tasks.generation import GenerativeTask
from tasks.generative_spec import GenerativeSpec
from training.networks.captioner import Captioner
from training.networks.language_network import LanguageNetwork
from training.networks.network import Trainable


@dataclass(frozen=True)
class GenerativeSubject:
    """A trained model on its way into a package. Networks are in evaluation mode, on the CPU."""

    name: str
    task_spec: GenerativeSpec
    folder: Path
    """Where the files lie that the task names."""
    decoder: LanguageNetwork
    encoder: Captioner | None
    """Of a model that starts from pictures: its `decoder` is the one above."""
    held_out: Examples
    """Never seen in training: UTF-8 documents, or pictures with captions."""
    spare: Examples
    """Not learnt from either, but may have decided something: it only widens the reference profile."""
    lineage: Lineage
    normal: Examples | None = None
    """As in `export.subject.Data`."""
    learning: Learning | None = None
    """Of a model that was trained here: how its network may learn on."""

    def with_network(self, network: Trainable) -> GenerativeSubject:
        """The same with another form of its network."""
        if isinstance(network, Captioner):
            return replace(self, decoder=network.decoder, encoder=network)
        assert isinstance(network, LanguageNetwork)
        return replace(self, decoder=network)


def passages_of(examples: Examples, task: GenerativeTask, recipe: GenerativeRecipe, count: int) -> list[Passage]:
    """At most `count`, in random order. One document makes many, a picture one."""
    if task.encoder is not None:
        chosen = draw_indices(len(examples), count, recipe.seed)
        found = caption_passages([examples[index] for index in chosen], task, recipe.seed)
        return [replace(passage, place=index) for passage, index in zip(found, chosen, strict=True)]
    documents = [examples[index].payload.decode() for index in range(len(examples))]
    return cut_documents(documents, task, recipe.passage_tokens, recipe.seed)[:count]


def asset_names(spec: GenerativeSpec) -> tuple[str, ...]:
    """Files of the package's root that the task names."""
    named = (spec.tokenizer, getattr(spec, "chat_template", None))
    return tuple(name for name in named if name)
