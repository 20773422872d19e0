"""What another package of the same model is worth on the very examples of an export.

A champion's own evidence was measured on the data of its time. Where a model was trained again because the world has
changed, the two have to be held against each other on the same examples, and promotion does so by what is written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from export.held_out import BATCH_SIZE, decode_batches, num_cores, stack
from export.host_runtime import open_on_host
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


def beside_rival(subject: Subject, proof: Proof, rival: ModelPackage) -> Proof:
    """The proof with the evidence of another package on the compared examples. Raises InvalidRecipe for one that
    answers something else."""
    task, other = open_task(subject.task_spec), open_task(rival.task_spec)
    if (type(task), task.labels) != (type(other), other.labels):
        raise InvalidRecipe(
            f"{subject.name} can not be held against the package {rival.digest[:12]}: it tells apart "
            f"{', '.join(task.labels)}, the other one {', '.join(other.labels)}"
        )
    return replace(proof, rivals={rival.digest: weigh_variants(rival, proof.compared)})


def weigh_variants(package: ModelPackage, examples: Sequence[Example]) -> dict[str, Evidence]:
    """Variant → what it is worth on these examples; size and speed as the package has them. Its gates are its own
    affair."""
    return {name: weigh_variant(package, name, examples) for name in package.manifest.variants}


def weigh_variant(package: ModelPackage, name: str, examples: Sequence[Example]) -> Evidence:
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
    metric = trial.judge.metric
    return msgspec.structs.replace(
        package.variant(name).evidence,
        metric=metric,
        num_examples=len(examples),
        metrics={metric: trial.judge.metrics()[metric]},
        per_class=tuple(trial.judge.per_class()),
        gates=(),
    )
