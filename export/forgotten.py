"""What compression made a model forget: the classes and the examples that pay for it, over several seeds.

Top-1 accuracy hides that compression harms few classes and few examples much more than the rest: Hooker et al., "What
do compressed deep neural networks forget?" (2019). As there, an example counts as changed where the modal prediction of
a population of compressed models is another than that of the uncompressed one. The population: a variant made again
from several seeds, of which the first is the one that is packaged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import msgspec

from registry.manifest import ClassEvidence

CALIBRATION = "expected_calibration_error"
MAX_CHANGES = 500
"""Of a variant that lost most of what it knew, more would say nothing more."""
FILE_NAME, SHEET_NAME, TEXT_NAME = "forgotten.json", "forgotten.png", "forgotten.md"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of the trained model and of the compressed ones. `spread`: from the lowest to the highest of them."""

    trained: float
    by_seed: tuple[float, ...]
    mean: float
    spread: float


class ClassOverSeeds(msgspec.Struct, frozen=True, kw_only=True):
    """One class. `right`: share of its `support` examples; `certain_loss`: the near end of the 95 % interval of what
    it lost, a mean over the seeds; negative where it may have lost nothing."""

    label: str
    support: int
    right: Figure
    certain_loss: float

    @property
    def change(self) -> float:
        """Of the mean over the seeds; negative for a loss."""
        return self.right.mean - self.right.trained


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One example whose modal prediction is another than the trained model's.

    `index`: in the held-out data (of a model that generates: among the passages, as they were drawn); `after`: the
    modal prediction; `seed`: the first that gives it; `num_seeds`: how many answer otherwise than the trained model;
    `worth_…`: how right the answers are, 0 to 1, after: in the mean over the seeds."""

    index: int
    truth: str
    before: str
    after: str
    seed: int
    num_seeds: int
    worth_before: float
    worth_after: float


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """All of one variant. `num_examples`: those whose predictions were compared, of which `num_changed` are others now;
    `changes`: the worst of them, the worst first."""

    seeds: tuple[int, ...]
    metric: str
    figure: Figure
    calibration_error: Figure
    num_examples: int
    num_changed: int
    classes: tuple[ClassOverSeeds, ...]
    changes: tuple[Change, ...]

    @property
    def changed_share(self) -> float:
        return self.num_changed / max(1, self.num_examples)

    def metrics(self) -> dict[str, float]:
        """For the evidence of the variant; what one seed alone shows stands there already."""
        found = {"num_seeds": float(len(self.seeds)), "changed_share": self.changed_share}
        if len(self.seeds) > 1:
            found[f"{self.metric}_over_seeds"] = self.figure.mean
            found[f"{self.metric}_spread_over_seeds"] = self.figure.spread
            found[f"{CALIBRATION}_over_seeds"] = self.calibration_error.mean
        return found

    def encode(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


@dataclass(frozen=True)
class Member:
    """What one compressed model of the population showed, beside the trained one."""

    metrics: Mapping[str, float]
    """As evidence has them."""
    per_class: Sequence[ClassEvidence]
    conclusions: Sequence[str]
    """About every example."""
    worths: Sequence[float]
    """How right each of them is, 0 to 1."""


@dataclass(frozen=True)
class Answered:
    """What the trained model made of the same examples, and what is known about them."""

    indices: Sequence[int]
    truths: Sequence[str]
    conclusions: Sequence[str]
    worths: Sequence[float]


def find_forgotten(metric: str, trained: Answered, members: Sequence[Member]) -> Forgotten:
    """`members`: one for each seed, the packaged one first."""
    changes = sorted(find_changes(trained, members), key=severity)
    return Forgotten(
        seeds=tuple(range(len(members))),
        metric=metric,
        figure=figure_of(members, metric),
        calibration_error=figure_of(members, CALIBRATION),
        num_examples=len(trained.conclusions),
        num_changed=len(changes),
        classes=tuple(class_over_seeds(each) for each in zip(*(one.per_class for one in members), strict=True)),
        changes=tuple(changes[:MAX_CHANGES]),
    )


def figure_of(members: Sequence[Member], name: str) -> Figure:
    return summarise(members[0].metrics[f"trained_{name}"], [each.metrics[name] for each in members])


def summarise(trained: float, by_seed: Sequence[float]) -> Figure:
    return Figure(trained=trained, by_seed=tuple(by_seed), mean=fmean(by_seed), spread=max(by_seed) - min(by_seed))


def class_over_seeds(found: Sequence[ClassEvidence]) -> ClassOverSeeds:
    """One class, as each seed left it. The examples are the same for all seeds, so the interval of the mean is no
    narrower than theirs are on average: more seeds do not make more examples."""
    first = found[0]
    return ClassOverSeeds(
        label=first.label,
        support=first.support,
        right=summarise(first.trained, [each.variant for each in found]),
        certain_loss=fmean(-each.difference_high for each in found),
    )


def find_changes(trained: Answered, members: Sequence[Member]) -> list[Change]:
    """The examples whose modal prediction changed."""
    changes = []
    for place, before in enumerate(trained.conclusions):
        answers = [each.conclusions[place] for each in members]
        after = modal(before, answers)
        if after == before:
            continue
        changes.append(
            Change(
                index=trained.indices[place],
                truth=trained.truths[place],
                before=before,
                after=after,
                seed=answers.index(after),
                num_seeds=sum(answer != before for answer in answers),
                worth_before=trained.worths[place],
                worth_after=fmean(each.worths[place] for each in members),
            )
        )
    return changes


def modal(before: str, answers: Sequence[str]) -> str:
    """The most frequent answer. Among equals that of the trained model counts, or else the first: a tie proves no
    change."""
    counts = Counter(answers)
    most = [answer for answer, count in counts.items() if count == max(counts.values())]
    return before if before in most else most[0]


def severity(change: Change) -> tuple[float, int, int]:
    """Sorts the worst first: what the trained model had right and most seeds now have wrong."""
    return change.worth_after - change.worth_before, -change.num_seeds, change.index


def read_forgotten(folder: Path, variant: str) -> Forgotten | None:
    """Out of a package; None of one that was made before there was such a file."""
    path = folder / variant / FILE_NAME
    return msgspec.json.decode(path.read_bytes(), type=Forgotten) if path.is_file() else None
