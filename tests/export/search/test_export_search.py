"""Searching for an export: what trials measure, what becomes of those that miss a gate, and which is published."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from mlflow import MlflowClient

from export.search.bench import Bench, single_shot_bench
from export.search.export_search import (
    AskedExport,
    command_of,
    fastest_first,
    load_export_plan,
    search_export,
)
from export.subject import Subject
from registry.local_store import LocalStore
from registry.package import ModelPackage
from registry.store import VersionInfo
from tasks.errors import GateFailed, InvalidRecipe
from tests.search_folders import ledger_in, write_toml
from tests.search_trials import ended_trial, ignore
from training.recipe import TaskName
from training.search.search import Findings, Ledger
from training.search.trial import Objective, Trial

LITTLE = (
    "num_seeds=1",
    "num_verify=100",
    "num_profile=100",
    "num_calibration=64",
    "latency_seconds=0.01",
    "batch_buckets=[1, 2]",
)
LENIENT = (
    "{ min_decision_agreement = 0.2, max_metric_drop = 0.5, max_calibration_increase = 0.5, max_class_drop = 0.5 }"
)
STRICT = LENIENT.replace("}", ", max_num_bytes = 10 }")
SPACE = f"""
trials = 10
[trial]
num_verify = 50
[alternatives.technique.bytes]
variants.compressed.steps = [[{{ technique = "int8_static" }}]]
"variants.compressed.steps.0.calibration" = ["minmax", "percentile"]
variants.compressed.tolerances = [{LENIENT}]
[alternatives.technique.too_large]
variants.compressed.steps = [[{{ technique = "int8_static" }}]]
variants.compressed.tolerances = [{STRICT}]
"""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_toml(tmp_path_factory.mktemp("space"), SPACE)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    return LocalStore(tmp_path_factory.mktemp("packages"))


ASKED = AskedExport("", LITTLE)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return ledger_in(tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def bench(subject: Subject) -> Bench:
    return single_shot_bench(subject, "classification", "run-7")


@pytest.fixture(scope="module")
def findings(
    bench: Bench, ledger: Ledger, space: str, store: LocalStore, tmp_path_factory: pytest.TempPathFactory
) -> Findings:
    plan, scratch = load_export_plan(space, ASKED, "classification"), tmp_path_factory.mktemp("scratch")
    return search_export(bench, scratch, ASKED, plan, ledger, lambda package: store.publish(package.folder), ignore)


def test_every_trial_tells_size_speed_and_score(findings: Findings) -> None:
    assert [each.name for each in findings.objectives] == ["accuracy", "relative_latency", "num_bytes"]
    assert len(findings.trials) == 3
    for trial in findings.trials:
        assert {"accuracy", "relative_latency", "num_bytes", "latency_ms"} <= trial.figures.keys()
        assert 0 <= trial.figures["accuracy"] <= 1
        assert trial.figures["relative_latency"] > 0


def test_what_missed_a_gate_is_recorded_with_what_it_missed(findings: Findings, ledger: Ledger) -> None:
    missed = [trial for trial in findings.trials if trial.state == "missed"]
    assert len(missed) == 1
    assert missed[0].reason.startswith("num_bytes ")
    assert missed[0].reason.endswith("limit 10")
    assert missed[0] not in findings.front
    run = MlflowClient(ledger.tracking_uri).get_run(missed[0].run_id)
    assert run.data.tags["tidegate.search.state"] == "missed"
    assert run.data.tags["tidegate.search.reason"] == missed[0].reason
    assert run.data.metrics["num_bytes"] == missed[0].figures["num_bytes"]


def test_the_winner_is_a_package_that_was_proved_on_test_data(
    findings: Findings, store: LocalStore, tmp_path: Path
) -> None:
    versions = store.versions("colours")
    assert [version.version for version in versions] == [findings.conclusion["version"]]
    package = store.fetch(versions[0], tmp_path)
    assert set(package.manifest.variants) == {"fp32", "compressed"}
    evidence = package.variant("compressed").evidence
    assert evidence.passed
    assert evidence.num_examples == 100, "only trials look at fewer"
    winner = next(trial for trial in findings.trials if trial.number == findings.conclusion["trial"])
    assert winner.state == "measured"
    assert package.manifest.lineage.recipe["export"]["variants"]["compressed"]["steps"][0]["technique"] == "int8_static"


def test_it_goes_on_where_it_was(bench: Bench, ledger: Ledger, space: str, findings: Findings, tmp_path: Path) -> None:
    def publish(package: ModelPackage) -> VersionInfo:
        raise AssertionError("there is nothing left to publish")

    plan, heard = load_export_plan(space, ASKED, "classification"), list[Trial]()
    assert search_export(bench, tmp_path, ASKED, plan, ledger, publish, heard.append) == findings
    assert heard == []


def test_where_nothing_passes_the_gates_are_told(bench: Bench, ledger: Ledger, tmp_path: Path) -> None:
    text = SPACE[SPACE.index("[alternatives.technique.too_large]") :].replace(
        "[alternatives.technique.too_large]", "[space]"
    )
    plan = load_export_plan(write_toml(tmp_path, text), ASKED, "classification")
    with pytest.raises(GateFailed, match=r"none of 1 trials passed(.|\n)*trial 0: num_bytes .*, limit 10"):
        search_export(bench, tmp_path, ASKED, plan, ledger, lambda package: pytest.fail("published"), ignore)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[space]\nnum_verify = [1, 2]", "about the fields of one variant .* this one is about none"),
        ("[space]\nvariants.a.steps = [[]]\nvariants.b.steps = [[]]", "this one is about a, b"),
        ("objectives = ['speed']\n[space]\nvariants.compressed.steps = [[]]", "'speed' is none of score"),
        ("[space]\nvariants.compressed.steps = [[{technique = 'magic'}]]", "no technique 'magic': name one of"),
    ],
)
def test_what_the_recipe_does_not_take_is_said_before_anything_is_built(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(InvalidRecipe, match=complaint):
        load_export_plan(write_toml(tmp_path, text), ASKED, "classification")


def test_steps_that_make_no_sense_for_the_task_are_refused(tmp_path: Path) -> None:
    wrong = write_toml(tmp_path, "[space]\nvariants.compressed.steps = [[{technique = 'int8_static'}]]")
    with pytest.raises(InvalidRecipe, match="int8_static is not for text_generation"):
        load_export_plan(wrong, AskedExport("", ()), "text_generation")


@pytest.mark.parametrize("task", get_args(TaskName))
def test_every_kind_of_model_has_a_space(task: TaskName) -> None:
    assert load_export_plan("", AskedExport("", ()), task).num_trials >= 20


def test_the_fastest_wins_and_among_equals_the_best() -> None:
    trials = [
        ended_trial(0, relative_latency=1.0, accuracy=0.99),
        ended_trial(1, relative_latency=0.50, accuracy=0.90),
        ended_trial(2, relative_latency=0.54, accuracy=0.95),
        ended_trial(3, "missed", relative_latency=0.2, accuracy=0.99),
        ended_trial(4, relative_latency=0.8, accuracy=0.97),
    ]
    assert [trial.number for trial in fastest_first(trials, Objective("accuracy", "max"))] == [2, 1, 4, 0]
    assert fastest_first(trials[3:4], Objective("accuracy", "max")) == []


def test_the_command_repeats_a_trial() -> None:
    command = command_of("digits", AskedExport("", ("seed=1",)), ended_trial(0, overrides=("a=1",)))
    assert command == "tidegate export digits --recipe search --set seed=1 --set a=1"
