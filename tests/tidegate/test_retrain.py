"""Retraining step by step: what is written down, what is refused, and what is left when it does not end well.

That it trains, exports and can be killed is tested with real processes, see tests/e2e/test_retraining.py."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from registry.local_store import LocalStore
from registry.lock import Locked, hold_lock
from registry.package import ModelPackage, seal_package
from registry.promotion import promote
from registry.reference import ModelRef, VersionInfo
from registry.tracking import HOME
from tasks.errors import BadInput, Conflict, GateFailed, InvalidPackage, InvalidRecipe, NotFound
from tests.handmade import Handmade, build_package
from tidegate import cli
from tidegate.retrain import Plan, Retraining, retrain
from tidegate.retrain_request import Request
from training.recipe import Recipe, parse_recipe
from training.run import finished, forget, run_folder

EXPORT = {"description": "how the champion was exported"}
PARENT, RUN = "run-of-the-champion", "run-of-the-retraining"


class StoreOfRuns(LocalStore):
    """A folder of packages that says which run made each, as MLflow does."""

    def versions(self, name: str) -> list[VersionInfo]:
        found = super().versions(name)
        return [msgspec.structs.replace(one, run_id=self.fetch(one, Path()).manifest.lineage.run_id) for one in found]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    """Version 1 is the champion."""
    monkeypatch.chdir(tmp_path)
    made = StoreOfRuns(tmp_path / "store")
    publish(made, tmp_path / "first", PARENT)
    promote_version(made, "1")
    return made


@pytest.fixture
def retraining(store: LocalStore, tmp_path: Path) -> Retraining:
    return Retraining("colours", store, f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def plan(retraining: Retraining) -> Plan:
    facts = {"name": "colours", "data": {"source": "digits"}, "image": {"height": 8, "width": 8}}
    recipe: Recipe = parse_recipe({**facts, "model": {"architecture": "resnet"}}, "here")
    return retraining.keep(Plan(champion="1", parent_run_id=PARENT, training=recipe, export=EXPORT))


def publish(store: LocalStore, folder: Path, run_id: str, shift: float = 0.0, **changes: Any) -> VersionInfo:
    """A version that a run has made."""
    package = build_package(folder, Handmade(max_batch=2, num_golden=1, num_profile=8, shift=shift))
    lineage = msgspec.structs.replace(package.manifest.lineage, run_id=run_id, recipe={"export": EXPORT})
    manifest = msgspec.structs.replace(package.manifest, lineage=lineage, **changes)
    return store.publish(seal_package(folder, manifest).folder, run_id)


def promote_version(store: LocalStore, version: str) -> None:
    promote(store, ModelRef(name="colours", version=version), cache=Path("cache"), who="ann")


def champion_of(store: LocalStore) -> ModelPackage:
    return store.fetch(store.resolve(ModelRef.parse("colours")), Path("cache"))


def holders(store: LocalStore) -> dict[str, str]:
    return {alias: info.version for info in store.versions("colours") for alias in info.aliases}


def worse(store: LocalStore, folder: Path) -> VersionInfo:
    """A version whose evidence no gate lets pass."""
    variants = {
        name: msgspec.structs.replace(
            variant, evidence=msgspec.structs.replace(variant.evidence, metrics={"accuracy": 0.1})
        )
        for name, variant in champion_of(store).manifest.variants.items()
    }
    return publish(store, folder, RUN, variants=variants)


def test_what_is_to_be_done_is_written_down(retraining: Retraining, plan: Plan) -> None:
    assert retraining.resume() == plan
    further = retraining.keep(plan, trained=4)
    assert (further.trained, further.training) == (4, plan.training)
    assert retraining.resume() == further
    assert [path.name for path in retraining.file.parent.iterdir()] == ["colours.json"]
    retraining.end()
    with pytest.raises(NotFound, match="no interrupted retraining of 'colours' here; start it without --resume"):
        retraining.resume()


def test_a_plan_that_was_damaged_is_no_plan(retraining: Retraining, plan: Plan) -> None:
    retraining.file.write_bytes(retraining.file.read_bytes()[:-20])
    with pytest.raises(InvalidPackage, match=r"colours\.json: .*start the retraining again without --resume"):
        retraining.resume()


def test_what_was_trained_is_not_trained_again(retraining: Retraining, plan: Plan) -> None:
    done = retraining.keep(plan, trained=4)
    assert retraining.train(done) == done


def test_a_training_that_ended_and_was_not_written_down_is_found(retraining: Retraining, plan: Plan) -> None:
    folder = run_folder(HOME, plan.training)
    folder.mkdir(parents=True)
    ended = {"folder": "checkpoint", "run_id": RUN, "version": 4, "metrics": {}}
    (folder / "result.json").write_bytes(msgspec.json.encode(ended))
    assert retraining.train(plan) == msgspec.structs.replace(plan, trained=4)
    assert retraining.resume().trained == 4
    forget(plan.training, HOME)
    assert finished(plan.training, HOME) is None, "the next retraining trains"


def test_what_was_exported_is_not_exported_again(retraining: Retraining, plan: Plan, tmp_path: Path) -> None:
    made = publish(retraining.store, tmp_path / "second", RUN, shift=0.1)
    package, found = retraining.export(retraining.keep(plan, trained=4, package=made.version))
    assert (found.version, package.digest) == ("2", made.digest)


def test_a_package_that_was_registered_and_not_written_down_is_found(
    retraining: Retraining, plan: Plan, tmp_path: Path
) -> None:
    champion = champion_of(retraining.store)
    rivals = {champion.digest: {name: one.evidence for name, one in champion.manifest.variants.items()}}
    publish(retraining.store, tmp_path / "by hand", RUN, shift=0.1)
    assert retraining.find_made(plan, champion, RUN) is None, "it was not held against the champion"
    made = publish(retraining.store, tmp_path / "registered", RUN, shift=0.2, rivals=rivals)
    found = retraining.find_made(plan, champion, RUN)
    assert found is not None
    assert found[1].version == made.version
    assert retraining.find_made(plan, champion, "another run") is None
    other = msgspec.structs.replace(plan, export={"description": "another recipe"})
    assert retraining.find_made(other, champion, RUN) is None


def test_a_model_that_was_imported_can_not_be_trained_again(store: LocalStore, tmp_path: Path) -> None:
    publish(store, tmp_path / "imported", "", shift=0.1)
    promote_version(store, "2")
    with pytest.raises(BadInput, match="colours/2 was made elsewhere and imported: there is no recipe"):
        Retraining("colours", store, f"sqlite:///{tmp_path}/mlflow.db").begin(Request("colours"))


def test_a_model_whose_training_is_not_on_record_can_not_either(retraining: Retraining) -> None:
    with pytest.raises(NotFound, match="no trained model 'colours-trained'"):
        retraining.begin(Request("colours"))
    with pytest.raises(NotFound):
        Retraining("unknown", retraining.store, retraining.tracking_uri).begin(Request("unknown"))


def test_nominating_may_be_repeated(retraining: Retraining, tmp_path: Path) -> None:
    made = publish(retraining.store, tmp_path / "second", RUN, shift=0.1)
    for _ in range(2):
        retraining.nominate(made)
    assert holders(retraining.store) == {"champion": "1", "challenger": "2"}
    retraining.nominate(retraining.store.resolve(ModelRef.parse("colours/1")))
    assert holders(retraining.store) == {"champion": "1", "challenger": "2"}, "who is champion needs no trial"


def test_where_another_became_champion_meanwhile_the_challenger_waits(
    retraining: Retraining, plan: Plan, tmp_path: Path
) -> None:
    for name in ("theirs", "ours"):
        publish(retraining.store, tmp_path / name, RUN, shift=0.1 if name == "ours" else 0.2)
    ours = retraining.store.resolve(ModelRef.parse("colours/3"))
    retraining.nominate(ours)
    promote_version(retraining.store, "2")
    with pytest.raises(Conflict, match="was expected to be 1 and is 2"):
        retraining.promote(ours, plan)
    assert holders(retraining.store) == {"champion": "2", "challenger": "3"}
    assert not retraining.file.exists(), "there is nothing left to go on with"


def test_while_somebody_else_promotes_the_plan_is_kept(
    retraining: Retraining, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = publish(retraining.store, tmp_path / "second", RUN, shift=0.1)
    retraining.keep(plan, trained=4, package=made.version)
    retraining.nominate(made)
    monkeypatch.setattr("tidegate.retrain.require_tracking", lambda uri: retraining.tracking_uri)
    monkeypatch.setattr("tidegate.retrain.open_store", lambda uri: retraining.store)
    monkeypatch.setattr("registry.promotion.hold_lock", partial(hold_lock, patience_s=0))
    monkeypatch.setattr("export.report.format_report", lambda package: "what was measured")
    with (
        hold_lock(retraining.store, "colours", "ann", 60),
        pytest.raises(Locked, match=r"locked by ann .*What was made is kept: tidegate retrain colours --resume --prom"),
    ):
        retrain(Request("colours"), None, resume=True, promotes=True)
    assert retraining.file.exists()
    assert retrain(Request("colours"), None, resume=True, promotes=True) == "what was measured"
    assert holders(retraining.store)["champion"] == "2"
    assert not retraining.file.exists()


def test_a_recipe_that_is_refused_would_be_each_time(
    retraining: Retraining, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    retraining.keep(plan, trained=4, export={"variants": "none"})
    monkeypatch.setattr("tidegate.retrain.require_tracking", lambda uri: retraining.tracking_uri)
    monkeypatch.setattr("tidegate.retrain.open_store", lambda uri: retraining.store)
    with pytest.raises(InvalidRecipe):
        retrain(Request("colours"), None, resume=True, promotes=True)
    assert not retraining.file.exists()


def test_promoting_may_be_repeated(retraining: Retraining, plan: Plan, tmp_path: Path) -> None:
    made = publish(retraining.store, tmp_path / "second", RUN, shift=0.1)
    for _ in range(2):
        retraining.nominate(made)
        retraining.promote(made, plan)
    assert holders(retraining.store)["champion"] == "2"
    assert [(event.alias, event.version) for event in retraining.store.events("colours")] == [
        ("champion", "1"),
        ("challenger", "2"),
        ("champion", "2"),
    ]


def shade_worse(store: LocalStore, folder: Path) -> VersionInfo:
    """A version that has lost less than promotion allows."""
    champion = champion_of(store)
    accuracy = champion.variant("fp32").evidence.metrics["accuracy"] - 0.003
    evidence = msgspec.structs.replace(champion.variant("fp32").evidence, metrics={"accuracy": accuracy})
    return publish(
        store, folder, RUN, variants={"fp32": msgspec.structs.replace(champion.variant("fp32"), evidence=evidence)}
    )


def test_what_learnt_from_nothing_new_may_not_be_a_shade_worse(
    retraining: Retraining, plan: Plan, tmp_path: Path
) -> None:
    made = shade_worse(retraining.store, tmp_path / "worse")
    retraining.nominate(made)
    idle = retraining.keep(plan, learns_new=False)
    with pytest.raises(GateFailed, match=r"(?s)FAIL +metric_drop .*nothing new was learnt from, .* promote colours/2"):
        retraining.promote(made, idle)
    assert holders(retraining.store) == {"champion": "1", "challenger": "2"}
    assert not retraining.file.exists()
    retraining.promote(made, plan)
    assert holders(retraining.store)["champion"] == "2", "with something new the policy's tolerance holds"


def test_what_learnt_from_nothing_new_and_is_no_worse_is_promoted(
    retraining: Retraining, plan: Plan, tmp_path: Path
) -> None:
    made = publish(retraining.store, tmp_path / "equal", RUN, shift=0.1)
    retraining.promote(made, retraining.keep(plan, learns_new=False))
    assert holders(retraining.store)["champion"] == "2"


def test_what_fails_a_gate_stays_the_challenger(retraining: Retraining, plan: Plan, tmp_path: Path) -> None:
    made = worse(retraining.store, tmp_path / "worse")
    retraining.nominate(made)
    with pytest.raises(GateFailed, match=r"colours/2 was not promoted"):
        retraining.promote(made, plan)
    assert holders(retraining.store) == {"champion": "1", "challenger": "2"}
    assert not retraining.file.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume", "--set", "schedule.epochs=3"], "--resume goes on as it was begun"),
        (["--resume", "--data", "x"], "--resume goes on as it was begun"),
        (["--resume", "--recipe", "quick"], "--resume goes on as it was begun"),
        (["--new-is-normal"], "--new-is-normal says what the data of --data are"),
        (["--store", "packages"], "training is recorded in MLflow, and packages is a folder"),
    ],
)
def test_requests_that_contradict_themselves_are_refused(store: LocalStore, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(cli.app, ["retrain", "colours", *arguments])
    assert isinstance(result.exception, BadInput)
    assert message in str(result.exception)
