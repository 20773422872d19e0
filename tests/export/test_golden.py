"""Which examples become golden: every class, hard ones too, none that a sound host could decide otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.golden import alternate_ends, choose_golden, replay_tolerance, write_golden
from export.parity import Parity
from export.trial import Trial
from tasks.classification import Classification
from tests.export_subjects import SPEC
from tests.handmade import encoded


def trial(margins: list[float], agreed: list[bool] | None = None) -> Trial:
    made = Trial(Classification(SPEC), Classification(SPEC))
    made.margins, made.agreed = margins, agreed or [True] * len(margins)
    return made


def test_hardest_and_easiest_beyond_the_tolerance_of_each_class() -> None:
    margins = [0.5, 1.5, 9.0, 4.0, 0.2, 2.0, 3.0]
    chosen = choose_golden({"fp32": trial(margins)}, {"fp32": 1.0}, [0, 0, 0, 0, 1, 1, 1], 5)
    assert chosen == [1, 5, 2, 6, 3]


def test_every_variant_must_be_comfortable() -> None:
    trials = {"fp32": trial([5.0, 5.0, 5.0]), "int8": trial([5.0, 1.0, 5.0], [True, True, False])}
    assert choose_golden(trials, {"fp32": 0.1, "int8": 2.0}, [0, 0, 0], 3) == [0]


def test_class_without_a_comfortable_example_sends_its_widest_margin() -> None:
    trials = {"int8": trial([0.1, 0.4, 9.0, 0.3], [True, True, True, False])}
    assert choose_golden(trials, {"int8": 1.0}, [0, 0, 1, 2], 8) == [1, 2]


@given(st.lists(st.integers(), unique=True))
def test_alternating_keeps_every_one_once(values: list[int]) -> None:
    assert sorted(alternate_ends(values)) == sorted(values)


def test_int8_may_differ_by_its_own_error() -> None:
    parity = Parity()
    reference = np.random.default_rng(0).normal(0, 3, (100, 4))
    for output in reference:
        parity.add(0.25, output)
    assert replay_tolerance("int8", {"logits": parity}) == {"logits": pytest.approx(0.25)}
    assert replay_tolerance("fp32", {"logits": parity})["logits"] < 0.01


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_hosts_of_half_precision_may_err_each_its_own_way(precision: Literal["fp16", "bf16"]) -> None:
    parity = Parity()
    for output in np.random.default_rng(0).normal(0, 3, (100, 4)):
        parity.add(0.25, output)
    assert replay_tolerance(precision, {"logits": parity}) == {"logits": pytest.approx(0.5)}


def test_files_are_named_by_what_they_are(tmp_path: Path) -> None:
    payloads = [encoded(0, name) for name in ("JPEG", "PNG", "WEBP", "BMP", "GIF")]
    names = write_golden(tmp_path, payloads)
    assert [Path(name).suffix for name in names] == [".jpg", ".png", ".webp", ".bmp", ".gif"]
    assert [(tmp_path / name).read_bytes() for name in names] == payloads
