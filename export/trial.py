"""One variant on trial: all that is learnt about it from the held-out examples, one batch at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from export.held_out import Item, run_capped
from export.judge import open_judge
from export.parity import Parity
from export.subject import Reference
from tasks.task import Array, Observation, Prediction, Task


@dataclass(frozen=True)
class Answers:
    """What one model answered to a batch: outputs [batch, …] by name, and a prediction for each item."""

    outputs: dict[str, Array]
    predictions: list[Prediction]

    def item(self, index: int) -> dict[str, Array]:
        """Outputs of one item, without batch axis."""
        return {name: value[index] for name, value in self.outputs.items()}


def answer(
    task: Task, run: Reference, items: Sequence[Item], tensors: Mapping[str, Array], max_batch: int | None
) -> Answers:
    """Runs a batch and decodes it as the server would."""
    params = task.parse_params({})
    answers = Answers(run_capped(run, tensors, max_batch), [])
    for index, item in enumerate(items):
        answers.predictions.append(task.decode_output(answers.item(index), item.sample, params))
    return answers


class Trial:
    """`margins[i]` is the margin of the i-th compared example (see `Judge.margin`), `agreed[i]` whether the variant
    decided as the trained model did; both in the order in which they were compared."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.judge = open_judge(task)
        self.parity: dict[str, Parity] = {}
        self.margins: list[float] = []
        self.agreed: list[bool] = []
        self.observations: list[dict[str, Observation]] = []

    def compare(self, items: Sequence[Item], trained: Answers, variant: Answers) -> None:
        """Beside the trained model."""
        for name, value in variant.outputs.items():
            self.parity.setdefault(name, Parity()).add(trained.outputs[name], value)
        for index, item in enumerate(items):
            before, after = trained.predictions[index], variant.predictions[index]
            self.judge.add(before, after, item.example.target)
            self.agreed.append(self._task.decision(before) == self._task.decision(after))
            self.margins.append(self.judge.margin(variant.item(index)))

    def observe(self, items: Sequence[Item], variant: Answers) -> None:
        """For the reference profile."""
        for index, item in enumerate(items):
            prediction = variant.predictions[index]
            self.observations.append(
                dict(self._task.signals(item.sample, item.tensors, variant.item(index), prediction))
            )
