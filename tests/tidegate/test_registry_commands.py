"""Promotion from the command line: gates, preconditions, history and the way back, on a folder of packages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from registry.local_store import LocalStore
from registry.manifest import Manifest, Requirements
from registry.package import seal_package
from tasks.errors import Conflict, GateFailed, InvalidRecipe, NotFound
from tests.handmade import Handmade, build_package
from tidegate import cli


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two versions: one as good as any, and one that failed a gate of its own export."""
    monkeypatch.chdir(tmp_path)
    packages = LocalStore(tmp_path / "packages")
    packages.publish(build_package(tmp_path / "good", Handmade(max_batch=2)).folder)
    bad = build_package(tmp_path / "bad", Handmade(max_batch=2, shift=0.1))
    packages.publish(seal_package(bad.folder, failing(bad.manifest)).folder)
    return tmp_path / "packages"


def failing(manifest: Manifest) -> Manifest:
    """The same manifest with a gate of every variant's export failed."""
    replace = msgspec.structs.replace
    variants = {
        name: replace(
            variant,
            evidence=replace(
                variant.evidence, gates=tuple(replace(gate, passed=False) for gate in variant.evidence.gates)
            ),
        )
        for name, variant in manifest.variants.items()
    }
    return replace(manifest, variants=variants)


def run(store: Path, *arguments: str) -> str:
    """What a command prints; its error is raised."""
    result = CliRunner().invoke(cli.app, [*arguments, "--store", str(store)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def run_json(store: Path, *arguments: str) -> Any:
    return json.loads(run(store, *arguments, "--json"))


def test_promote_takes_the_newest_version_and_shows_every_gate(store: Path) -> None:
    with pytest.raises(GateFailed, match="parity"):
        run(store, "promote", "colours")
    shown = run(store, "promote", "colours/1")
    assert "colours@champion is version 1, was nobody" in shown
    assert "golden_replay_failures" in shown


def test_force_needs_a_reason_and_keeps_it(store: Path) -> None:
    run(store, "promote", "colours/1")
    run(store, "promote", "colours", "--force", "the old one leaks")
    first, second = run_json(store, "history", "colours")
    assert (first["force_reason"], second["force_reason"]) == ("", "the old one leaks")
    assert (second["previous"], second["version"]) == ("1", "2")
    assert "the old one leaks" in run(store, "history", "colours")
    assert CliRunner().invoke(cli.app, ["promote", "colours", "--force"]).exit_code == 2


def test_rollback_brings_the_one_before_back(store: Path) -> None:
    run(store, "promote", "colours/1")
    run(store, "promote", "colours/2", "--force", "a test")
    assert "colours@champion is version 1, was 2" in run(store, "rollback", "colours")
    assert "colours@champion is nobody, was 1" in run(store, "rollback", "colours")
    assert [event["action"] for event in run_json(store, "history", "colours")] == ["promote"] * 2 + ["rollback"] * 2


def test_expect_refuses_when_somebody_was_faster(store: Path) -> None:
    with pytest.raises(Conflict):
        run(store, "promote", "colours/1", "--expect", "2")
    run(store, "promote", "colours/1", "--expect", "")
    with pytest.raises(Conflict):
        run(store, "rollback", "colours", "--expect", "2")


def test_another_alias_moves_alone(store: Path) -> None:
    run(store, "promote", "colours/1", "--alias", "challenger")
    assert [info["aliases"] for info in run_json(store, "models")] == [["challenger"], []]


def test_a_policy_file_sets_the_budgets(store: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("max_num_bytes = 10\n")
    with pytest.raises(GateFailed, match="num_bytes"):
        run(store, "promote", "colours/1", "--policy", str(policy))
    policy.write_text("max_bytes = 10\n")
    with pytest.raises(InvalidRecipe, match=r"policy\.toml.*max_bytes.*may set .*max_num_bytes"):
        run(store, "promote", "colours/1", "--policy", str(policy))
    with pytest.raises(NotFound, match="can not be read: No such file"):
        run(store, "promote", "colours/1", "--policy", str(tmp_path / "polcy.toml"))


def test_a_model_that_answers_otherwise_here_is_not_promoted(store: Path, tmp_path: Path) -> None:
    built = build_package(tmp_path / "foreign", Handmade(max_batch=2))
    other = build_package(tmp_path / "other", Handmade(max_batch=2, shift=3.0))
    variant = next(iter(built.manifest.variants.values()))
    (built.folder / variant.golden.file).write_bytes((other.folder / variant.golden.file).read_bytes())
    LocalStore(store).publish(seal_package(built.folder, built.manifest).folder)
    with pytest.raises(GateFailed, match="golden_replay_failures"):
        run(store, "promote", "colours/3")


def test_what_this_machine_can_not_run_is_not_proved(store: Path, tmp_path: Path) -> None:
    built = build_package(tmp_path / "foreign", Handmade(max_batch=2))
    variants = {
        name: msgspec.structs.replace(variant, requires=Requirements(cpu_features=("a_feature_of_the_future",)))
        for name, variant in built.manifest.variants.items()
    }
    seal_package(built.folder, msgspec.structs.replace(built.manifest, variants=variants))
    LocalStore(store).publish(built.folder)
    with pytest.raises(GateFailed, match=r"golden_replays .*a_feature_of_the_future"):
        run(store, "promote", "colours/3")


def test_a_graph_that_does_not_load_fails_its_replay(store: Path, tmp_path: Path) -> None:
    built = build_package(tmp_path / "broken", Handmade(max_batch=2))
    built.graph_path("fp32").write_bytes(b"no graph")
    LocalStore(store).publish(seal_package(built.folder, built.manifest).folder)
    with pytest.raises(GateFailed, match=r"golden_replay_failures .*does not load"):
        run(store, "promote", "colours/3")
