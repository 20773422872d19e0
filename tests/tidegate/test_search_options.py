"""Options of a search are refused where no search is asked for."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from tidegate.cli import app
from tidegate.search_options import SearchRequest, search_request


def test_defaults_are_empty() -> None:
    assert search_request(True, None, None, None) == SearchRequest("", 0, "")
    assert search_request(True, "mine.toml", 5, "sqlite:///s.db") == SearchRequest("mine.toml", 5, "sqlite:///s.db")
    assert search_request(False, None, None, None) is None


@pytest.mark.parametrize("command", [("train", "digits"), ("export", "digits"), ("export", "digits", "--triton", "x")])
@pytest.mark.parametrize("option", [("--space", "x"), ("--trials", "3"), ("--search-storage", "sqlite:///s.db")])
def test_without_a_search_they_are_a_mistake(command: tuple[str, ...], option: tuple[str, str]) -> None:
    result = CliRunner().invoke(app, [*command, *option])
    assert result.exit_code == 2
    assert f"{option[0]} belongs to a search: add --search" in result.output.replace("\n", " ")


def test_a_search_does_not_go_to_triton() -> None:
    result = CliRunner().invoke(app, ["export", "digits", "--triton", "models", "--search"])
    assert result.exit_code == 2
    assert "export it first" in result.output.replace("\n", " ")
