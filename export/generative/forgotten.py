"""What compression made a model forget that generates: the tokens, and the prompts that it now continues otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from export.forgotten import Answered, Forgotten, Member, find_forgotten
from export.generative.continuation import Continuation
from export.generative.passage import Passage
from export.generative.trial import GenerativeTrial
from tasks.generation import GenerativeTask


def find_generative_forgotten(
    task: GenerativeTask, metric: str, plain: GenerativeTrial, population: Sequence[GenerativeTrial]
) -> Forgotten:
    """`plain`: the trial of the float32 graph, which continues as the trained model does; `population`: the trials of
    one variant, one for each seed, the packaged one first."""
    passages = plain.passages[: len(plain.continuations)]
    trained = Answered(
        indices=range(len(passages)),
        truths=[truth_of(task, *pair) for pair in zip(passages, plain.continuations, strict=True)],
        conclusions=[say(task, each.tokens) for each in plain.continuations],
        worths=worths_of(task, passages, plain.trained.bits, plain.continuations),
    )
    members = [
        Member(
            metrics=trial.metrics(),
            per_class=trial.per_class(),
            conclusions=[say(task, each.tokens) for each in trial.continuations],
            worths=worths_of(task, passages, trial.variant.bits, trial.continuations),
        )
        for trial in population
    ]
    return find_forgotten(metric, trained, members)


def truth_of(task: GenerativeTask, passage: Passage, continuation: Continuation) -> str:
    """What truly follows; of a text as much as was said."""
    whole = task.encoder is not None
    return say(task, passage.answer if whole else passage.answer[: len(continuation.tokens)])


def worths_of(
    task: GenerativeTask, passages: Sequence[Passage], bits: Sequence[float], continuations: Sequence[Continuation]
) -> list[float]:
    """How right a model is about each passage: of pictures, whether its caption is one of those that are right; of
    texts, the mean probability (geometric) that it gave to a byte of what truly follows."""
    if task.encoder is not None:
        pairs = zip(passages, continuations, strict=True)
        return [float(say(task, each.tokens) in passage.references) for passage, each in pairs]
    return [2 ** (-spent / passage.num_bytes) for passage, spent in zip(passages, bits, strict=False)]


def say(task: GenerativeTask, tokens: Sequence[int]) -> str:
    """As a client reads it."""
    return task.tokenizer.decode([token for token in tokens if token not in task.end_tokens])
