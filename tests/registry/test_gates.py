"""The gates: what is harm, what is chance, and what can not be told."""

from __future__ import annotations

import json
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.event import PromotionEvent
from registry.gates import MAX_CLASS_ROWS, PromotionPolicy, certain_drops, judge, least_drop
from registry.manifest import ClassEvidence, GateResult, PartEvidence
from registry.package import ModelPackage
from tests.registry.conftest import Variation, class_rows

POLICY = PromotionPolicy()


def failed(candidate: ModelPackage, champion: ModelPackage | None, policy: PromotionPolicy = POLICY) -> set[str]:
    """Names of the gates that did not hold; every figure must survive the event's JSON."""
    gates = judge(candidate, champion, policy)
    assert msgspec.json.decode(msgspec.json.encode(gates), type=tuple[GateResult, ...]) == gates
    return {gate.name for gate in gates if not gate.passed}


def test_the_first_version_needs_no_champion(vary: Variation) -> None:
    assert failed(vary(accuracy=0.1), None) == set()


def test_a_version_is_as_good_as_itself(vary: Variation) -> None:
    rows = class_rows(a=(0.9, 100), b=(1.0, 1), c=(0.0, 0))
    assert failed(vary(per_class=rows), vary(per_class=rows)) == set()


@pytest.mark.parametrize(("accuracy", "holds"), [(0.99, True), (0.945, True), (0.9449, False), (0.0, False)])
def test_the_metric_may_drop_to_the_very_tolerance(vary: Variation, accuracy: float, holds: bool) -> None:
    assert failed(vary(accuracy), vary(0.95)) == (set() if holds else {"metric_drop"})


def test_a_variant_that_failed_its_export_is_named(vary: Variation) -> None:
    missed = (GateResult(name="class_drop", value=0.5, limit=0.01, passed=False),)
    (gate,) = (gate for gate in judge(vary(gates=missed), None, POLICY) if not gate.passed)
    assert (gate.name, gate.value) == ("parity_failures", 1)
    assert "fp32" in gate.detail


def test_a_variant_without_gates_proved_nothing(vary: Variation) -> None:
    assert failed(vary(gates=()), None) == {"parity_failures"}


def test_golden_set_and_profile_must_be_large_enough(built: ModelPackage) -> None:
    policy = PromotionPolicy(min_golden_inputs=5, min_profile_images=65)
    assert failed(built, None, policy) == {"golden_inputs", "profile_images"}
    assert failed(built, None, PromotionPolicy(min_golden_inputs=4, min_profile_images=64)) == set()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"num_images": "many"}', b"[" * 100_000, b"\xff"])
def test_an_unreadable_profile_counts_as_none(folder: object, content: bytes, vary: Variation) -> None:
    package = vary()
    (package.folder / "fp32" / "profile.json").write_bytes(content)
    assert failed(package, None) == {"profile_images"}


def test_budgets_are_for_the_variant_that_servers_take(vary: Variation) -> None:
    heavy = vary(latency_ms={"1": 9.0, "16": 1.0}, num_bytes=2000)
    assert failed(heavy, None, PromotionPolicy(max_latency_ms=9.0, max_num_bytes=2000)) == set()
    assert failed(heavy, None, PromotionPolicy(max_latency_ms=8.9, max_num_bytes=1999)) == {"latency_ms", "num_bytes"}


def test_a_latency_that_was_never_measured_fails_a_budget_and_nothing_else(vary: Variation) -> None:
    package = vary(latency_ms={"16": 1.0})
    assert failed(package, None, PromotionPolicy(max_latency_ms=1e6)) == {"latency_unknown"}
    assert failed(package, None) == set()


def test_versions_that_measured_different_things_are_not_compared(vary: Variation) -> None:
    other = vary(metric="mAP", metrics={"mAP": 0.99})
    assert failed(other, vary()) == {"incomparable_variants"}
    assert failed(vary(), other) == {"incomparable_variants"}


def test_a_figure_that_is_missing_on_either_side_fails(vary: Variation) -> None:
    empty = vary(metrics={})
    assert failed(empty, vary()) == {"incomparable_variants"}
    assert failed(vary(), empty) == {"incomparable_variants"}


def test_a_class_that_is_gone_fails_by_name(vary: Variation) -> None:
    before, after = class_rows(a=(0.9, 100), b=(0.9, 100)), class_rows(a=(0.9, 100), z=(1.0, 100))
    assert failed(vary(per_class=after), vary(per_class=before)) == {"class_drop", "class_drop of b"}
    assert failed(vary(per_class=()), vary(per_class=before)) >= {"class_drop of a", "class_drop of b"}


def test_a_new_class_is_welcome(vary: Variation) -> None:
    before, after = class_rows(a=(0.9, 100)), class_rows(a=(0.9, 100), b=(0.1, 100))
    assert failed(vary(per_class=after), vary(per_class=before)) == set()


def test_a_class_nobody_tried_is_not_proved(vary: Variation) -> None:
    before, after = class_rows(a=(0.9, 100), b=(0.9, 100)), class_rows(a=(0.9, 100), b=(0.0, 0))
    assert failed(vary(per_class=after), vary(per_class=before)) == {"unproved_classes"}
    assert failed(vary(per_class=before), vary(per_class=after)) == set()


def test_real_harm_to_one_class_is_seen_behind_a_better_average(vary: Variation) -> None:
    before = class_rows(a=(0.95, 1000), b=(0.95, 1000))
    after = class_rows(a=(1.0, 1000), b=(0.88, 1000))
    assert failed(vary(0.96, per_class=after), vary(0.95, per_class=before)) == {"class_drop", "class_drop of b"}


def test_the_same_drop_in_a_small_class_may_be_chance(vary: Variation) -> None:
    before, after = class_rows(b=(0.95, 40)), class_rows(b=(0.875, 40))
    assert failed(vary(per_class=after), vary(per_class=before)) == set()


def test_a_drop_within_the_tolerance_holds_however_certain_it_is(vary: Variation) -> None:
    before, after = class_rows(b=(0.95, 10**6)), class_rows(b=(0.931, 10**6))
    assert failed(vary(per_class=after), vary(per_class=before)) == set()


def test_a_thousand_lost_classes_make_a_short_table(vary: Variation) -> None:
    rows = class_rows(**{f"c{i}": (0.9, 100) for i in range(1000)})
    gates = judge(vary(per_class=()), vary(per_class=rows), POLICY)
    assert sum(gate.name.startswith("class_drop of") for gate in gates) == MAX_CLASS_ROWS
    assert "1000 of 1000" in next(gate.detail for gate in gates if gate.name == "class_drop")


def test_chance_alone_fails_fewer_than_the_significance_allows() -> None:
    """Two versions with the same true accuracies, each measured anew: no tolerance, so chance is all there is."""
    rng = random.Random(7)
    support, num_trials = 200, 400
    false_alarms = 0
    for _ in range(num_trials):
        old, new = (
            class_rows(
                **{f"c{i}": (sum(rng.random() < 0.9 for _ in range(support)) / support, support) for i in range(5)}
            )
            for _ in range(2)
        )
        false_alarms += any(drop > 0 for _, drop in certain_drops(new, old, 0.05 / 5))
    assert false_alarms <= 30  # the 99 % bound of 5 % in 400 trials


shares = st.floats(0, 1)
supports = st.integers(0, 10**6)


def row(share: float, support: int) -> ClassEvidence:
    return class_rows(a=(share, support))[0]


@given(shares, supports, shares, supports, st.floats(1e-9, 0.5))
def test_the_certain_drop_is_a_number_that_never_exceeds_what_was_seen_by_much(
    p: float, n: int, q: float, m: int, significance: float
) -> None:
    drop = least_drop(row(p, n), row(q, m), significance)
    assert -3.0 * 7 < drop <= 1.0
    # The two added examples pull each share towards a half by at most 1 / (support + 2).
    assert drop <= p - q + 1 / (n + 2) + 1 / (m + 2) + 1e-9


@given(shares, st.integers(1, 10**6), st.floats(1e-9, 0.5))
def test_no_drop_is_never_certain(p: float, n: int, significance: float) -> None:
    assert least_drop(row(p, n), row(p, n), significance) <= 1e-12


def test_every_figure_of_an_event_survives_json(vary: Variation) -> None:
    """JSON has neither NaN nor infinity: an event that held one could never be read again."""
    gates = judge(vary(metrics={}, latency_ms={}), vary(), PromotionPolicy(max_latency_ms=1.0))
    event = PromotionEvent(
        id="1", action="promote", name="a", alias="champion", version="1", digest="", previous=None, who="", at="",
        gates=gates,
    )  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(event), type=PromotionEvent) == event
    assert "null" not in json.dumps(msgspec.to_builtins(event.gates))


def test_releases_before_parts_read_packages_without_any(vary: Variation) -> None:
    """They refuse a field that they do not know, and servers may be older than who exports."""
    evidence = vary().manifest.variants["fp32"].evidence
    assert "parts" not in msgspec.json.decode(msgspec.json.encode(evidence))


def part(variant: float, rival: float, standard_error: float = 0.001) -> PartEvidence:
    return PartEvidence(num_examples=400, variant=variant, rival=rival, standard_error=standard_error)


def test_what_is_forgotten_hides_behind_no_gain(vary: Variation) -> None:
    champion = vary(0.7)
    forgetful = vary(0.9, parts={champion.digest: {"known": part(0.90, 0.96), "added": part(0.9, 0.2)}})
    (gate,) = (gate for gate in judge(forgetful, champion, POLICY) if not gate.passed)
    assert (gate.name, gate.limit) == ("known_data_drop", POLICY.max_metric_drop)
    assert 0.05 < gate.value < 0.06
    assert gate.detail == "accuracy 0.9600, now 0.9000, on 400 examples of the champion's data, fp32"


def test_what_is_worse_on_the_added_data_hides_behind_no_gain_either(vary: Variation) -> None:
    champion = vary(0.8)
    idle = vary(0.9, parts={champion.digest: {"known": part(0.96, 0.9), "added": part(0.5, 0.6)}})
    (gate,) = (gate for gate in judge(idle, champion, POLICY) if not gate.passed)
    assert (gate.name, gate.limit) == ("added_data_drop", 0.0)
    assert gate.detail == "accuracy 0.6000, now 0.5000, on 400 examples that were added, fp32"


def test_a_part_may_lose_what_chance_explains(vary: Variation) -> None:
    champion = vary(0.8)
    known, added = part(0.94, 0.96, standard_error=0.01), part(0.58, 0.6, standard_error=0.02)
    assert failed(vary(0.9, parts={champion.digest: {"known": known, "added": added}}), champion) == set()
    certain = {"known": part(0.94, 0.96, 1e-4), "added": part(0.58, 0.6, 1e-4)}
    lost = vary(0.9, parts={champion.digest: certain})
    assert failed(lost, champion) == {"known_data_drop", "added_data_drop"}
    assert failed(lost, champion, PromotionPolicy(max_metric_drop=0.03)) == {"added_data_drop"}


def test_parts_say_nothing_about_another_champion(vary: Variation) -> None:
    parts = {"0" * 64: {"known": part(0.5, 0.9), "added": part(0.5, 0.9)}}
    assert failed(vary(0.95, parts=parts), vary(0.95)) == set()


def test_a_part_of_what_is_better_the_lower_it_is(vary: Variation) -> None:
    bits = {"metric": "bits_per_byte", "better": "lower"}
    champion = vary(metrics={"bits_per_byte": 2.0}, **bits)
    parts = {champion.digest: {"known": part(2.2, 2.0), "added": part(1.0, 3.0)}}
    assert failed(vary(metrics={"bits_per_byte": 1.5}, parts=parts, **bits), champion) == {"known_data_drop"}
