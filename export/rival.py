"""What another package of the same model is worth on the very examples of an export, and on each part of them.

A champion's own evidence was measured on the data of its time. Where a model was trained again because the world has
changed, the two have to be held against each other on the same examples, and promotion does so by what is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from export.held_out import BATCH_SIZE, decode_batches, num_cores, stack
from export.host_runtime import open_on_host
from export.judge import Judge
from export.parts import with_parts
from export.seal import MAIN, Proof
from export.subject import Example, Subject
from export.trial import Trial, answer
from registry.manifest import Evidence
from registry.package import ModelPackage
from registry.plain_graph import write_plain_graph
from serving.runtimes.compute_threads import ComputeThreads
from tasks.errors import InvalidRecipe
from tasks.task import open_task
from training.progress import track

if TYPE_CHECKING:
    from export.generative.seal import Proof as GenerativeProof


@dataclass(frozen=True)
class Rival:
    """Another package of the same model. `known`: bool [held-out examples], whether its model's data have an example
    too; what they lack was added since."""

    package: ModelPackage
    known: NDArray[np.bool_]


class Scored(Protocol):
    """Whatever was tried on the compared examples."""

    def score(self, places: Sequence[int]) -> float:
        """As `Judge.score`."""
        ...


Tried = TypeVar("Tried", bound=Scored)
AnyProof = TypeVar("AnyProof", Proof, "GenerativeProof")


def beside_rival(subject: Subject, proof: Proof, rival: Rival) -> Proof:
    """The proof with the evidence of another package on the compared examples. Raises InvalidRecipe for one that
    answers something else."""
    package = rival.package
    task, other = open_task(subject.task_spec), open_task(package.task_spec)
    if (type(task), task.labels) != (type(other), other.labels):
        raise InvalidRecipe(
            f"{subject.name} can not be held against the package {package.digest[:12]}: it tells apart "
            f"{', '.join(task.labels)}, the other one {', '.join(other.labels)}"
        )
    judges = {name: try_variant(package, name, proof.compared) for name in package.manifest.variants}
    ours = {name: trial.judge for name, trial in proof.trials.items()}
    return held_against(proof, rival, proof.compared_indices, ours, judges, weigh)


def held_against(
    proof: AnyProof,
    rival: Rival,
    places: Sequence[int],
    ours: Mapping[str, Scored],
    theirs: Mapping[str, Tried],
    weigh: Callable[[ModelPackage, str, Tried], Evidence],
) -> AnyProof:
    """The proof with what `weigh` says of each variant of the rival, and what both are worth on each part. `places` in
    the held-out data of the examples that both were tried on; `ours`, `theirs`: by variant."""
    digest = rival.package.digest
    scores, others = ({name: each.score for name, each in tried.items()} for tried in (ours, theirs))
    return replace(
        proof,
        evidence=with_parts(proof.evidence, digest, rival.known[list(places)], scores, others),
        rivals={digest: {name: weigh(rival.package, name, each) for name, each in theirs.items()}},
    )


def try_variant(package: ModelPackage, name: str, examples: Sequence[Example]) -> Judge:
    """One variant's answers, held against the truth alone."""
    task = open_task(package.task_spec_of(name))
    trial, max_batch = Trial(task, task), max(package.manifest.batch_buckets)
    with TemporaryDirectory() as folder:
        runtime = open_on_host(write_plain_graph(package, name, MAIN, Path(folder)), ComputeThreads(num_cores()))
        batches = -(-len(examples) // BATCH_SIZE)
        try:
            for items in track(decode_batches(task, examples), f"holding against {name} of the champion", batches):
                answers = answer(task, runtime.run, items, stack(items), max_batch)
                trial.compare(items, answers, answers)
        finally:
            runtime.close()
    return trial.judge


def weigh(package: ModelPackage, name: str, judge: Judge) -> Evidence:
    """What a variant is worth on the examples that a judge has seen; size and speed as the package has them. Its gates
    are its own affair."""
    return msgspec.structs.replace(
        package.variant(name).evidence,
        metric=judge.metric,
        num_examples=len(judge.worths()),
        metrics={judge.metric: judge.metrics()[judge.metric]},
        per_class=tuple(judge.per_class()),
        gates=(),
        parts={},
    )
