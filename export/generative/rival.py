"""What another package of the same model is worth on the very passages of an export; see `export.rival`."""

from __future__ import annotations

from collections.abc import Sequence
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
from export.rival import Rival, held_against
from registry.manifest import Evidence
from registry.package import ModelPackage
from tasks.errors import InvalidRecipe
from tasks.generative_spec import GenerativeSpec
from training.progress import track


def beside_rival(subject: GenerativeSubject, proof: Proof, rival: Rival) -> Proof:
    """The proof with the evidence of another package on the same passages. Raises InvalidRecipe for one that reads by
    another tokenizer: passages are tokens."""
    package = rival.package
    spec = package.task_spec
    if not isinstance(spec, type(subject.task_spec)) or words(subject.folder, subject.task_spec) != words(
        package.folder, spec
    ):
        raise InvalidRecipe(
            f"{subject.name} can not be held against the package {package.digest[:12]}: that one has another "
            "tokenizer; train with its tokenizer.json as text.tokenizer.path"
        )
    trials = {name: try_variant(package, name, proof.passages) for name in package.manifest.variants}
    places = [passage.place for passage in proof.passages]
    return held_against(proof, rival, places, proof.trials, trials, weigh)


def words(folder: Path, spec: GenerativeSpec) -> bytes:
    """What the tokens of a model mean."""
    return (folder / spec.tokenizer).read_bytes()


def try_variant(package: ModelPackage, name: str, passages: Sequence[Passage]) -> GenerativeTrial:
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
    return trial


def weigh(package: ModelPackage, name: str, trial: GenerativeTrial) -> Evidence:
    """What a variant is worth on the passages of a trial; size and speed as the package has them. Its gates are its own
    affair."""
    return msgspec.structs.replace(
        package.variant(name).evidence,
        num_examples=len(trial.passages),
        metrics={METRIC: trial.metrics()[METRIC]},
        per_class=trial.per_class(),
        gates=(),
        parts={},
    )
