from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from export.triton.model_config import read_config
from registry.local_store import LocalStore
from serving.config import ServerConfig
from tasks.errors import NotFound
from tests.export.triton.test_engine_file import keep_engine
from tests.handmade import Handmade, build_package
from tidegate import cli


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    """Two versions of colours, of which nobody is champion yet."""
    monkeypatch.chdir(tmp_path)
    made = LocalStore(tmp_path / "packages")
    for shift in (0.0, 1.0):
        made.publish(build_package(tmp_path / f"package-{shift}", Handmade(shift=shift, num_profile=4)).folder)
    return made


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(cli.app, ["export", *arguments, "--store", "packages"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_champion_is_written_or_else_the_newest_and_that_is_said(store: LocalStore, tmp_path: Path) -> None:
    shown = run("colours", "--triton", "repository")
    assert shown.stdout.strip() == "repository/colours/2"
    assert "no champion; taking its newest version, 2" in shown.stderr
    assert "tritonserver --model-repository repository" in shown.stderr
    assert shown.stderr.endswith("tidegate serve colours/2\n"), "nobody is served by the name alone without a champion"
    store.set_alias("colours", "champion", "1")
    shown = run("colours", "--triton", "repository")
    assert shown.stdout.strip() == "repository/colours/1"
    assert "taking" not in shown.stderr
    assert shown.stderr.endswith("tidegate serve colours\n")
    config = read_config(tmp_path / "repository" / "colours" / "config.pbtxt")
    assert sorted(config.parameters) == ["tidegate.1", "tidegate.2"]


def test_what_is_to_do_next_can_be_done_on_one_machine(store: LocalStore) -> None:
    shown = run("colours", "--triton", "repository").stderr
    ports = dict(re.findall(r"--(\w+)-port (\d+)", shown))
    ours = ServerConfig()
    assert {int(port) for port in ports.values()}.isdisjoint({ours.http_port, ours.grpc_port, ours.metrics_port})
    assert f"TIDEGATE_TRITON_URL=HOST:{ports['grpc']} " in shown


def test_a_version_can_be_named_and_one_that_is_not_there_is_not_replaced(store: LocalStore) -> None:
    shown = run("colours/1", "--triton", "a", "--variant", "fp32")
    assert shown.stdout.strip() == "a/colours/1"
    assert shown.stderr.endswith(" TIDEGATE_VARIANT=fp32 tidegate serve colours/1\n"), "no other one is there"
    with pytest.raises(NotFound, match="no colours@challenger"):
        run("colours@challenger", "--triton", "a")


def test_an_engine_that_is_not_built_yet_is_asked_for(store: LocalStore, tmp_path: Path) -> None:
    shown = run("colours", "--triton", "repository", "--backend", "tensorrt", "--variant", "fp32")
    assert "Triton waits for repository/colours/2/model.plan" in shown.stderr
    package = store.fetch(store.versions("colours")[1], tmp_path)
    engine = keep_engine(tmp_path / "engines", package, b"made there")
    shown = run("colours", "--triton", "repository", "--backend", "tensorrt", "--engine", str(engine))
    assert "waits" not in shown.stderr
    assert "the engine is for A GPU" in shown.stderr
    assert (tmp_path / "repository/colours/2/model.plan").read_bytes() == b"made there"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--backend", "python"), "--backend belongs to --triton"),
        (("--variant", "fp32"), "--variant belongs to --triton"),
        (("--triton", "repository", "--recipe", "quick"), "registered already"),
    ],
)
def test_options_that_do_not_belong_together_are_a_usage_error(arguments: tuple[str, ...], told: str) -> None:
    shown = run("colours", *arguments)
    assert shown.exit_code == 2
    assert told in " ".join(shown.stderr.replace("│", " ").split())
