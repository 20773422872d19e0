"""Which prompts count as changed, and how right a model is about each."""

from __future__ import annotations

import numpy as np
import pytest

from export.generative.continuation import Continuation
from export.generative.forgotten import find_generative_forgotten
from export.generative.passage import Passage
from export.generative.subject import GenerativeSubject
from export.generative.trial import GenerativeTrial
from tasks.generation import open_generative_task

PROMPTS = ("the list", "a file", "this module")


@pytest.fixture(scope="module")
def trials(subject: GenerativeSubject) -> list[GenerativeTrial]:
    """The float32 graph, and a variant whose second continuation is another and that is surprised by the third."""
    task = open_generative_task(subject.task_spec, subject.folder)
    found = []
    for said, probability in ((" opens", 0.5), (" forgets", 0.125)):
        trial = GenerativeTrial()
        for place, prompt in enumerate(PROMPTS):
            answer = tuple(task.tokenizer.encode(" holds nothing"))
            passage = Passage(prompt.encode(), answer, 14)
            trial.compare(passage, expecting(answer, 0.5), expecting(answer, probability if place == 2 else 0.5))
            text = said if place > 0 else " counts"
            trial.continuations.append(
                Continuation(task.prompt(prompt), expecting((0,), 0.5)[0], [*task.tokenizer.encode(text), 0])
            )
        found.append(trial)
    return found


def expecting(answer: tuple[int, ...], probability: float) -> np.ndarray:
    """FP32 [len(answer), vocabulary]: this probability for what follows, the rest for everything else."""
    found = np.full((len(answer), 320), np.log((1 - probability) / 319), np.float32)
    found[np.arange(len(answer)), list(answer)] = np.log(probability)
    return found


def test_prompts_that_are_continued_otherwise_worst_first(
    subject: GenerativeSubject, trials: list[GenerativeTrial]
) -> None:
    task = open_generative_task(subject.task_spec, subject.folder)
    plain, variant = trials
    found = find_generative_forgotten(task, "bits_per_byte", plain, [variant])
    assert [(each.index, each.before, each.after) for each in found.changes] == [
        (2, " opens", " forgets"),  # the one whose loss grew
        (1, " opens", " forgets"),
    ]
    worst = found.changes[0]
    num_tokens = len(plain.passages[2].answer)
    assert worst.worth_before == pytest.approx(0.5 ** (num_tokens / 14))
    assert worst.worth_after == pytest.approx(0.125 ** (num_tokens / 14))
    assert " holds nothing".startswith(worst.truth)
    assert find_generative_forgotten(task, "bits_per_byte", plain, [plain]).changes == ()
