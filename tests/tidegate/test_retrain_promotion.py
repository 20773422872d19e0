"""What becomes of a retrained model: challenger, champion, or neither, and what is left of the plan."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
import pytest

from registry.local_store import LocalStore
from registry.lock import Locked, hold_lock
from registry.reference import ModelRef, VersionInfo
from tasks.errors import Conflict, GateFailed
from tests.tidegate.retrained_store import RUN, champion_of, holders, promote_version, publish
from tidegate.retrain import Plan, Retraining, retrain
from tidegate.retrain_request import Request


def worse(store: LocalStore, folder: Path) -> VersionInfo:
    """A version whose evidence no gate lets pass."""
    variants = {
        name: msgspec.structs.replace(
            variant, evidence=msgspec.structs.replace(variant.evidence, metrics={"accuracy": 0.1})
        )
        for name, variant in champion_of(store).manifest.variants.items()
    }
    return publish(store, folder, RUN, variants=variants)


def shade_worse(store: LocalStore, folder: Path) -> VersionInfo:
    """A version that has lost less than promotion allows."""
    champion = champion_of(store)
    accuracy = champion.variant("fp32").evidence.metrics["accuracy"] - 0.003
    evidence = msgspec.structs.replace(champion.variant("fp32").evidence, metrics={"accuracy": accuracy})
    return publish(
        store, folder, RUN, variants={"fp32": msgspec.structs.replace(champion.variant("fp32"), evidence=evidence)}
    )


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
