"""API keys from the command line: printed once, kept as a hash, taken away by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from serving.access.api_key import parse_key
from serving.access.caller import Role
from serving.access.key_file import read_key_file
from tasks.errors import BadInput, Conflict, InvalidRecipe, NotFound
from tidegate import cli


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that commands take by themselves in this folder."""
    monkeypatch.delenv("TIDEGATE_API_KEYS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "keys.toml"


def run(*arguments: str) -> Result:
    """`tidegate keys …`; its error is raised."""
    result = CliRunner().invoke(cli.app, ["keys", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_key_is_printed_once_and_kept_as_a_hash(file: Path) -> None:
    printed = run("add", "shop", "--rate", "50").stdout
    key = parse_key(printed.strip().encode())
    assert key is not None
    assert printed == key.text() + "\n"
    entry = read_key_file(file)[key.id]
    assert (entry.name, entry.role, entry.rate, entry.sha256) == ("shop", Role.PREDICT, 50.0, key.digest().hex())
    assert key.secret.decode() not in file.read_text() + run("list").output + run("list", "--json").output


def test_keys_are_listed_with_what_they_may_do(file: Path) -> None:
    run("add", "shop", "--rate", "0.5")
    run("add", "operations", "--role", "admin")
    lines = [line.split() for line in run("list").stdout.splitlines()]
    assert lines[0] == ["NAME", "ROLE", "RATE", "CREATED", "ID"]
    assert [line[:3] for line in lines[1:]] == [["shop", "predict", "0.5"], ["operations", "admin", "-"]]
    listed = json.loads(run("list", "--json").stdout)
    assert [(one["name"], one["role"], one["rate"]) for one in listed] == [
        ("shop", "predict", 0.5),
        ("operations", "admin", None),
    ]


def test_a_revoked_key_is_gone_and_its_name_free_again(file: Path) -> None:
    first = run("add", "shop").stdout
    with pytest.raises(Conflict, match="'shop' already"):
        run("add", "shop")
    run("revoke", "shop")
    assert "no keys" in run("list").stderr
    assert run("add", "shop").stdout != first
    assert len(read_key_file(file)) == 1


def test_a_file_that_others_may_read_is_pointed_at(file: Path) -> None:
    run("add", "shop")
    assert run("list").stderr == ""
    file.chmod(0o644)
    assert "chmod 600" in run("list").stderr


def test_the_servers_own_variable_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_API_KEYS", str(tmp_path / "elsewhere.toml"))
    run("add", "shop")
    assert len(read_key_file(tmp_path / "elsewhere.toml")) == 1
    run("add", "shop", "--file", str(tmp_path / "here.toml"))
    assert len(read_key_file(tmp_path / "here.toml")) == 1


@pytest.mark.parametrize(
    "arguments", [("the shop",), ("shop", "--rate", "0"), ("shop", "--rate", "nan"), ("shop", "--rate", "1e7"), ("",)]
)
def test_names_and_rates_that_can_not_be_make_no_file(file: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match=f"a name of letters.*asked for: {arguments[0]!r}"):
        run("add", *arguments)
    assert not file.exists()


def test_a_folder_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(InvalidRecipe, match=r"there is no folder .*nowhere; make it first"):
        run("add", "shop", "--file", str(file.parent / "nowhere" / "keys.toml"))


def test_what_is_not_there_is_not_revoked(file: Path) -> None:
    with pytest.raises(InvalidRecipe, match="tidegate keys add"):
        run("revoke", "shop")
    assert not file.exists()
    run("add", "shop")
    with pytest.raises(NotFound, match="no key 'shops'; there are: shop"):
        run("revoke", "shops")


def test_a_file_that_somebody_broke_is_left_alone(file: Path) -> None:
    file.write_text("[keys")
    for command in (("add", "shop"), ("list",), ("revoke", "shop")):
        with pytest.raises(InvalidRecipe, match="no TOML"):
            run(*command)
    assert file.read_text() == "[keys"
