"""What another package of the same model is worth on the very passages of an export; see `export.rival`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from export.generative.graph_speaker import GraphSpeaker
from export.generative.passage import Passage
from export.generative.seal import Proof, plain_graphs
from export.generative.speaker import open_prompt
from export.generative.subject import GenerativeSubject
from export.generative.trial import GenerativeTrial
from export.generative.verify import METRIC
from export.held_out import num_cores
from registry.manifest import Evidence
from registry.package import ModelPackage
from tasks.errors import InvalidRecipe
from tasks.generative_spec import GenerativeSpec
from training.progress import track


def beside_rival(subject: GenerativeSubject, proof: Proof, rival: ModelPackage) -> Proof:
    """The proof with the evidence of another package on the same passages. Raises InvalidRecipe for one that reads by
    another tokenizer: passages are tokens."""
    spec = rival.task_spec
    if not isinstance(spec, type(subject.task_spec)) or words(subject.folder, subject.task_spec) != words(
        rival.folder, spec
    ):
        raise InvalidRecipe(
            f"{subject.name} can not be held against the package {rival.digest[:12]}: that one has another tokenizer; "
            "train with its tokenizer.json as text.tokenizer.path"
        )
    return replace(proof, rivals={rival.digest: weigh_variants(rival, proof.passages)})


def words(folder: Path, spec: GenerativeSpec) -> bytes:
    """What the tokens of a model mean."""
    return (folder / spec.tokenizer).read_bytes()


def weigh_variants(package: ModelPackage, passages: Sequence[Passage]) -> dict[str, Evidence]:
    """Variant → what it is worth on these passages; size and speed as the package has them. Its gates are its own
    affair."""
    return {name: weigh_variant(package, name, passages) for name in package.manifest.variants}


def weigh_variant(package: ModelPackage, name: str, passages: Sequence[Passage]) -> Evidence:
    """What one variant expects of them."""
    task, trial = package.open_generative_task(name), GenerativeTrial()
    with TemporaryDirectory() as folder:
        speaker = GraphSpeaker(plain_graphs(package, name, Path(folder)), 1, task.context, num_cores())
        try:
            for passage in track(passages, f"holding against {name} of the champion", len(passages)):
                found = speaker.expect(open_prompt(task, passage.payload, speaker)[0], passage.answer)
                trial.compare(passage, found, found)
        finally:
            speaker.close()
    return msgspec.structs.replace(
        package.variant(name).evidence,
        num_examples=len(passages),
        metrics={METRIC: trial.metrics()[METRIC]},
        per_class=trial.per_class(),
        gates=(),
    )
