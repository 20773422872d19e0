"""Retraining step by step: what is written down, what is refused, and what is left when it does not end well.

That it trains, exports and can be killed is tested with real processes, see tests/e2e/test_retraining.py."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from registry.local_store import LocalStore
from registry.lock import Locked
from registry.tracking import HOME
from tasks.errors import BadInput, InvalidPackage, InvalidRecipe, NotFound
from tests.forks import forked
from tests.tidegate.retrained_store import RUN, champion_of, promote_version, publish
from tidegate import cli
from tidegate.retrain import Plan, Retraining, retrain
from tidegate.retrain_request import Request
from training.run import finished, forget, run_folder


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


def test_a_recipe_that_is_refused_would_be_each_time(
    retraining: Retraining, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    retraining.keep(plan, trained=4, export={"variants": "none"})
    monkeypatch.setattr("tidegate.retrain.require_tracking", lambda uri: retraining.tracking_uri)
    monkeypatch.setattr("tidegate.retrain.open_store", lambda uri: retraining.store)
    with pytest.raises(InvalidRecipe):
        retrain(Request("colours"), None, resume=True, promotes=True)
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


def test_one_process_at_a_time_retrains_a_model(
    retraining: Retraining, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.retrain.require_tracking", lambda uri: retraining.tracking_uri)
    monkeypatch.setattr("tidegate.retrain.open_store", lambda uri: retraining.store)
    begun = retraining.keep(plan, trained=4)

    def train(self: Retraining, plan: Plan) -> Plan:
        """The other one comes in the middle of the training."""
        assert forked(meet_the_first) == [0]
        raise OSError("power cut")

    def meet_the_first() -> None:
        for resume in (False, True):
            with pytest.raises(Locked, match="'colours' is being retrained in another process"):
                retrain(Request("colours"), None, resume=resume, promotes=True)

    with monkeypatch.context() as patch:
        patch.setattr(Retraining, "train", train)
        with pytest.raises(OSError, match="power cut"):
            retrain(Request("colours"), None, resume=True, promotes=True)
    assert retraining.resume() == begun
