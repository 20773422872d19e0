"""Searching the fields of a training: nested runs, a registered winner, and what an interruption leaves."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tasks.errors import GateFailed, InvalidRecipe, Unsupported
from tests.search_folders import ledger_in, write_toml
from tests.search_trials import ended_trial, ignore
from training.recipe import RECIPES, load_recipe
from training.registered import find_versions
from training.search.search import Findings, Ledger
from training.search.train_search import (
    SPACES,
    AskedRecipe,
    choose_best,
    command_of,
    load_training_plan,
    search_training,
)
from training.search.trial import Objective, Trial
from training.tracking import RunTracker

RECIPE = """
name = "tiny"
[data]
source = "digits"
validation_fraction = 0.4
test_fraction = 0.4
[image]
height = 8
width = 8
[model]
architecture = "resnet"
options = { depths = [1], widths = [4], stem = "small" }
[schedule]
epochs = 2
batch_size = 64
"""
SPACE = """
trials = 3
objectives = ["score", "num_parameters", "latency_ms"]
max_score_loss = 1.0
[trial]
schedule.epochs = 1
[space]
optimiser.learning_rate = { low = 1e-3, high = 3e-2, log = true }
[alternatives.block.basic]
model.options.block = ["basic"]
model.options.widths = [[4], [6]]
[alternatives.block.bottleneck]
model.options.block = ["bottleneck"]
"""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> AskedRecipe:
    return AskedRecipe(write_toml(tmp_path_factory.mktemp("recipe"), RECIPE, "tiny"), ("seed=3",))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return ledger_in(tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_toml(tmp_path_factory.mktemp("space"), SPACE)


@pytest.fixture(scope="module")
def findings(asked: AskedRecipe, ledger: Ledger, space: str) -> Findings:
    return search_training(asked, load_training_plan(space, asked), ledger, ignore)


def runs_of(ledger: Ledger, findings: Findings) -> list[Run]:
    client = MlflowClient(ledger.tracking_uri)
    experiment = client.get_run(findings.run_id).info.experiment_id
    return list(client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{findings.run_id}'"))


def test_every_trial_is_a_run_below_that_of_the_search(ledger: Ledger, findings: Findings) -> None:
    runs = runs_of(ledger, findings)
    assert {run.info.run_id for run in runs} == {trial.run_id for trial in findings.trials}
    for run in runs:
        assert run.info.status == "FINISHED"
        assert {"optimiser.learning_rate", "model.options.block"} <= run.data.params.keys()
        assert {"val_accuracy", "num_parameters", "latency_ms", "val_loss"} <= run.data.metrics.keys()
        assert run.data.metrics["latency_ms"] > 0
    assert MlflowClient(ledger.tracking_uri).get_run(findings.run_id).info.status == "FINISHED"


def test_front_and_table_are_artifacts_of_the_search(ledger: Ledger, findings: Findings, tmp_path: Path) -> None:
    client = MlflowClient(ledger.tracking_uri)
    folder = Path(client.download_artifacts(findings.run_id, "search", str(tmp_path)))
    assert {path.name for path in folder.iterdir()} == {"front.png", "trials.md", "trials.json"}
    assert len((folder / "trials.md").read_text().splitlines()) == 2 + 3
    facts = json.loads((folder / "trials.json").read_text())
    assert facts["front"] == [trial.number for trial in findings.front]
    assert [each["name"] for each in facts["objectives"]] == ["val_accuracy", "num_parameters", "latency_ms"]


def test_the_winner_is_trained_in_full_and_registered(asked: AskedRecipe, ledger: Ledger, findings: Findings) -> None:
    best = next(trial for trial in findings.front if trial.number == findings.conclusion["trial"])
    smallest = min(trial.figures["num_parameters"] for trial in findings.trials)
    assert best.figures["num_parameters"] == smallest, "any loss of score is allowed for fewer parameters"
    versions = find_versions(ledger.tracking_uri, "tiny")
    assert [int(version.version) for version in versions] == [findings.conclusion["version"]] == [1]
    params = MlflowClient(ledger.tracking_uri).get_run(versions[0].run_id).data.params
    assert params["schedule.epochs"] == "2", "only trials are shorter"
    command = command_of(asked, best)
    assert command.startswith(f"tidegate train {asked.name_or_path} --set seed=3 --set optimiser.learning_rate=")
    assert "--set 'model.options.block=" in command


def test_a_search_that_is_complete_measures_nothing_again(
    asked: AskedRecipe, ledger: Ledger, space: str, findings: Findings
) -> None:
    heard: list[Trial] = []
    again = search_training(asked, load_training_plan(space, asked), ledger, heard.append)
    assert heard == []
    assert again == findings
    assert len(find_versions(ledger.tracking_uri, "tiny")) == 1


def test_a_search_under_torchrun_is_refused(
    asked: AskedRecipe, ledger: Ledger, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(Unsupported, match="search-storage"):
        search_training(asked, load_training_plan(space, asked), ledger, ignore)


def test_all_that_join_a_search_get_the_same_run(ledger: Ledger, findings: Findings) -> None:
    def join(name: str) -> str:
        tags = {"shared": name, "mlflow.runName": name}
        return RunTracker.join(ledger.tracking_uri, ledger.workdir, "joined", tags, "shared").run_id

    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(join, ["one", "one", "one", "two"]))
    assert found[0] == found[1] == found[2] != found[3]
    client = MlflowClient(ledger.tracking_uri)
    experiment = client.get_experiment_by_name("joined")
    assert {run.info.run_id for run in client.search_runs([experiment.experiment_id])} == set(found)


def test_who_takes_long_to_begin_on_a_server_joins_the_others(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked before there was a run, and its own was begun before the other one."""
    RunTracker.start(ledger.tracking_uri, tmp_path, "slowly", {})
    monkeypatch.setattr("training.tracking.database_file", lambda uri: None)
    monkeypatch.setattr("training.tracking.SETTLE_S", 0.3)
    create_run, chosen = MlflowClient.create_run, list[str]()

    def join() -> str:
        return RunTracker.join(ledger.tracking_uri, tmp_path, "slowly", {"shared": "one"}, "shared").run_id

    def create(self: MlflowClient, *asked: Any, **more: Any) -> Any:
        """While it is about to, another one comes, finds none, and is done."""
        monkeypatch.setattr(MlflowClient, "create_run", create_run)
        chosen.append(join())
        return create_run(self, *asked, **more, start_time=1)

    monkeypatch.setattr(MlflowClient, "create_run", create)
    assert [join()] == chosen


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("objectives = ['speed']\n[space]\nseed = [1]", r"objectives: 'speed' is none of score, latency_ms"),
        ("objectives = ['latency_ms']\n[space]\nseed = [1]", r"objectives: without score"),
        ("[space]\noptimiser.learning_rat = [1]", r"unknown field `learning_rat`"),
        ("[space]\nmodel.options.widths = [[4], [4, 8]]", r"does not take model\.options\.widths=\[4, 8\]: .*stage"),
    ],
)
def test_what_the_recipe_does_not_take_is_said_before_anything_is_trained(
    asked: AskedRecipe, tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(InvalidRecipe, match=complaint):
        load_training_plan(write_toml(tmp_path, text), asked)


@pytest.mark.parametrize("name", [name for name in RECIPES.names() if name != "folder-transfer"])
def test_recipes_take_the_space_of_their_task(name: str) -> None:
    load_training_plan("", AskedRecipe(name, ()))
    assert load_recipe(name).task in SPACES.names()


def test_the_winner_is_the_cheapest_that_is_good_enough() -> None:
    objectives = [Objective("accuracy", "max"), Objective("num_parameters", "min")]
    scores = (0.95, 9e6), (0.947, 4e6), (0.90, 1e6)
    front = [ended_trial(number, accuracy=a, num_parameters=n) for number, (a, n) in enumerate(scores)]
    assert [choose_best(front, objectives, loss).number for loss in (0.0, 0.005, 0.1)] == [0, 1, 2]
    assert choose_best(front, objectives[:1], 0.0).number == 0
    with pytest.raises(GateFailed, match="no trial"):
        choose_best([], objectives, 0.0)
