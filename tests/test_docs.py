"""The pages keep their word: links lead somewhere, commands parse, recipes exist, and lists of names are the code's."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import msgspec
import pytest
import typer

from export.recipe import NamedRecipe
from serving.access.key_file import parse_keys
from serving.config import ServerConfig
from serving.config_sources import FOREIGN_VARIABLES, PREFIX
from serving.openai.chat_request import ChatRequest
from serving.openai.completion_request import CompletionRequest
from serving.openai.request import REFUSED, WITHOUT_EFFECT, Request
from tasks.generation_params import GenerationParams
from tidegate.cli import app
from training.recipe import load_recipe

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
COMMAND = re.compile(r"^\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(?:torchrun .*-m )?tidegate (.+)$", re.MULTILINE)
NAME = re.compile(r"`([a-z_]+)`")
OPENAI_ROWS = {
    "as OpenAI says": Request,
    "the same, of completions": CompletionRequest,
    "the same, of chats": ChatRequest,
    "OpenAI has it not: send it in `extra_body`": Request,
}


def text_of(page: str) -> str:
    return PAGES[page].read_text(encoding="utf-8")


def prose_of(page: str) -> str:
    return BLOCK.sub("", text_of(page))


def anchors_of(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = HEADING.findall(BLOCK.sub("", path.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands() -> list[str]:
    """Every command of `tidegate` that a block shows."""
    found: list[str] = []
    for page in PAGES:
        for _, block in BLOCK.findall(text_of(page)):
            found += COMMAND.findall(block.replace("\\\n", " "))
    return found


def rows_after(page: str, head: str) -> dict[str, str]:
    """First cell → second cell of the table with this head."""
    table = text_of(page).partition(f"{head}\n")[2].partition("\n\n")[0]
    cells = [row.strip("|").split("|") for row in table.splitlines()[1:]]
    return {row[0].strip(): row[1].strip() for row in cells}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in LINK.findall(prose_of(page)):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (PAGES[page].parent / file).resolve() if file else PAGES[page]
        assert target.is_file(), link
        assert not anchor or anchor in anchors_of(target), link


@pytest.mark.parametrize("command", commands())
def test_commands_parse_and_their_recipes_are_there(command: str) -> None:
    name, *arguments = shlex.split(command.replace("…", ""), comments=True)
    chosen = typer.main.get_group(app).commands[name]
    if isinstance(chosen, typer.core.TyperGroup):
        name, *arguments = arguments
        chosen = chosen.commands[name]
    given = chosen.make_context(name, arguments).params
    if name == "train" and not given["recipe"].endswith(".toml"):
        load_recipe(given["recipe"], given["overrides"] or ())
    if given.get("recipe") and name in ("export", "import"):
        NamedRecipe(given["recipe"], given.get("overrides") or ())


@pytest.mark.parametrize("page", PAGES)
def test_python_compiles_and_toml_parses(page: str) -> None:
    for language, block in BLOCK.findall(text_of(page)):
        if language == "python":
            compile(block, page, "exec")
        if language == "toml":
            tomllib.loads(block)


def test_variables_are_settings() -> None:
    known = {PREFIX + name.upper() for name in ServerConfig.__struct_fields__} | FOREIGN_VARIABLES
    for page in PAGES:
        assert set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", text_of(page))) <= known, page


def test_key_files_are_as_shown() -> None:
    shown = [block for language, block in BLOCK.findall(text_of("docs/access.md")) if language == "toml"]
    assert shown
    for block in shown:
        assert parse_keys(block.encode())


def test_upstreams_are_declared_as_shown() -> None:
    shown = [block for _, block in BLOCK.findall(text_of("docs/endpoints.md")) if "[upstreams." in block]
    assert shown
    for block in shown:
        assert msgspec.convert(tomllib.loads(block), ServerConfig).upstreams


def test_parameters_of_generation_are_those_of_the_table() -> None:
    names = NAME.findall(" ".join(rows_after("docs/endpoints.md", "| parameter | what it does | values |")))
    assert set(names) == set(GenerationParams.__struct_fields__)


def test_what_becomes_of_fields_of_the_openai_api_is_told_of_all() -> None:
    rows = rows_after("docs/endpoints.md", "| what becomes of it | fields |")
    told = {first: set(NAME.findall(second)) for first, second in rows.items()}
    refused = next(first for first in rows if first.startswith("refused"))
    assert told[refused] == set(REFUSED)
    assert told["accepted, without effect"] == set(WITHOUT_EFFECT)
    for row, kind in OPENAI_ROWS.items():
        values = {"include_usage", "text", "json_object", "json_schema"}
        assert told[row] - values <= set(kind.__struct_fields__), row
    fields = {*CompletionRequest.__struct_fields__, *ChatRequest.__struct_fields__} - {"model"}
    assert fields <= set().union(*told.values())
