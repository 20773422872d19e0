"""Tests of retraining share a champion, and a plan to go on from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.local_store import LocalStore
from tests.tidegate.retrained_store import EXPORT, PARENT, StoreOfRuns, promote_version, publish
from tidegate.retrain import Plan, Retraining
from training.recipe import Recipe, parse_recipe


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
