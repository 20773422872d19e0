from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export.generative.continuation import Continuation
from export.generative.recipe import GenerativeTolerances
from export.judge_captions import CaptionJudge, caption_gates
from tasks.captioning import Captioning
from tasks.generation import Prompt
from tests.tiny_captioner import CAPTIONS, write_task

TOLERANCES = GenerativeTolerances(
    max_bits_per_byte_increase=1.0, min_decision_agreement=0.0, max_exact_match_drop=0.3, max_cider_drop=1.0
)


@pytest.fixture
def task(tmp_path: Path) -> Captioning:
    return write_task(tmp_path)


def continuations(task: Captioning, captions: list[str]) -> list[Continuation]:
    prompt, nothing = Prompt((0,)), np.zeros(task.spec.vocabulary, np.float32)
    return [Continuation(prompt, nothing, [*task.tokenizer.encode(each), 0], []) for each in captions]


def test_a_variant_that_says_the_same_loses_nothing(task: Captioning) -> None:
    judge = CaptionJudge(task, CAPTIONS, tuple((caption, "or this") for caption in CAPTIONS))
    metrics = judge.metrics(continuations(task, list(CAPTIONS)))
    assert metrics["exact_match"] == metrics["trained_exact_match"] == 1
    assert metrics["cider"] == pytest.approx(metrics["trained_cider"])
    assert metrics["captions_changed"] == 0
    gates = caption_gates(metrics, TOLERANCES)
    assert [gate.name for gate in gates] == ["exact_match_drop", "cider_drop"]
    assert all(gate.passed and gate.value == 0 for gate in gates)


def test_captions_that_go_wrong_miss_the_gates(task: Captioning) -> None:
    judge = CaptionJudge(task, CAPTIONS, tuple((caption,) for caption in CAPTIONS))
    said = ["no idea", "no idea", *CAPTIONS[2:]]
    metrics = judge.metrics(continuations(task, said))
    assert metrics["captions_changed"] == metrics["exact_match"] == 0.5
    assert not any(gate.passed for gate in caption_gates(metrics, TOLERANCES))


def test_a_trained_model_that_errs_too_is_no_reproach(task: Captioning) -> None:
    judge = CaptionJudge(task, ("no idea",) * 4, tuple((caption,) for caption in CAPTIONS))
    metrics = judge.metrics(continuations(task, list(CAPTIONS)))
    assert metrics["captions_changed"] == 1
    assert all(gate.passed for gate in caption_gates(metrics, TOLERANCES))


def test_limits_that_are_not_set_are_no_gates() -> None:
    plain = GenerativeTolerances(max_bits_per_byte_increase=1.0, min_decision_agreement=0.0)
    assert caption_gates({}, plain) == ()
