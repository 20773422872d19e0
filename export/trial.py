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


def comparable(outputs: Mapping[str, Array], expected: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs of one item that can be held against the trained model's. An embedding that lost numbers is a vector
    of its own; what is decided from it is compared all the same, and its signals have a profile of their own."""
    return {
        name: array for name, array in outputs.items() if name not in expected or array.shape == expected[name].shape
    }


class Trial:
    """`margins[i]` is the margin of the i-th compared example (see `Judge.margin`), `agreed[i]` whether the variant
    decided as the trained model did; both in the order in which they were compared.

    `task` is the variant's own, `reference` that of the trained model: they differ where the graph does a part of the
    task itself."""

    def __init__(self, task: Task, reference: Task) -> None:
        self._task, self._reference = task, reference
        self.judge = open_judge(task)
        self.parity: dict[str, Parity] = {}
        self.margins: list[float] = []
        self.agreed: list[bool] = []
        self.observations: list[dict[str, Observation]] = []

    def compare(self, items: Sequence[Item], trained: Answers, variant: Answers) -> None:
        """Beside the trained model."""
        for index, item in enumerate(items):
            outputs = variant.item(index)
            expected = trained.item(index)
            for name, difference in self._task.differences(expected, comparable(outputs, expected)).items():
                self.parity.setdefault(name, Parity()).add(difference, outputs[name])
            before, after = trained.predictions[index], variant.predictions[index]
            self.agreed.append(self._reference.decision(before) == self._task.decision(after))
            self.margins.append(self.judge.margin(outputs))
            self.judge.add(
                self._judged(self._reference, trained, index, item),
                self._judged(self._task, variant, index, item),
                item.example.target,
            )

    def _judged(self, task: Task, answers: Answers, index: int, item: Item) -> Prediction:
        """One prediction as the judge wants it decoded."""
        if not self.judge.params:
            return answers.predictions[index]
        return task.decode_output(answers.item(index), item.sample, task.parse_params(self.judge.params))

    def observe(self, items: Sequence[Item], variant: Answers) -> None:
        """For the reference profile."""
        for index, item in enumerate(items):
            prediction = variant.predictions[index]
            self.observations.append(
                dict(self._task.signals(item.sample, item.tensors, variant.item(index), prediction))
            )
