"""What a user types: help, exit codes, errors of one line, and nothing heavy imported before it is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer.testing

from registry.local_store import LocalStore
from tests.handmade import LABELS, Handmade, build_package, encoded
from tidegate import cli

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "mlflow", "lightning", "transformers", "torchmetrics", "sklearn", "onnx", "onnxruntime", "fastapi")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two versions, the first of which is the champion."""
    root = tmp_path_factory.mktemp("store")
    store = LocalStore(root / "packages")
    for shift in (0.0, 0.1):
        store.publish(build_package(root / f"built-{shift}", Handmade(shift=shift, max_batch=4)).folder)
    store.set_alias("colours", "champion", "1")
    return root / "packages"


def run(*arguments: str | Path, cwd: Path | None = None) -> tuple[int, str, str]:
    """One command in this process, as `tidegate …` would end: exit code, stdout, stderr."""
    program = "import sys; from tidegate.cli import main; sys.argv[0] = 'tidegate'; main()"
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def heavy_modules_after(*arguments: str) -> list[str]:
    """Which heavy modules a command has imported when it ends."""
    program = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print('HEAVY', *[m for m in {HEAVY} if m in sys.modules]))\n"
        "from tidegate.cli import main\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize(
    "command", [None, *sorted(c.name or "" for c in typer.main.get_group(cli.app).commands.values())]
)
def test_help_of_every_command_has_examples(command: str | None) -> None:
    result = typer.testing.CliRunner().invoke(cli.app, [command, "--help"] if command else ["--help"])
    assert result.exit_code == 0
    assert f"tidegate {command or 'train'}" in result.stdout


def test_every_command_of_the_loop_is_there() -> None:
    loop = {"train", "export", "import", "models", "promote", "rollback", "history", "serve", "predict", "demo"}
    assert loop | {"build-engines", "keys", "retrain"} == set(typer.main.get_group(cli.app).commands)


@pytest.mark.parametrize("arguments", [("--help",), ("serve", "--help"), ("train", "--no-such-option"), ("--version",)])
def test_help_and_wrong_arguments_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert heavy_modules_after(*arguments) == []


def test_commands_on_a_folder_of_packages_import_nothing_heavy(packages: Path) -> None:
    for command in ("models", "history colours", "promote --help"):
        assert heavy_modules_after(*command.split(), *([] if "--help" in command else ["--store", str(packages)])) == []


def test_models_lists_versions_and_aliases(packages: Path) -> None:
    code, out, _ = run("models", "--store", packages)
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [["colours", "1"], ["colours", "2"]]
    code, out, _ = run("models", "--store", packages, "--json")
    assert [(each["version"], each["aliases"]) for each in json.loads(out)] == [("1", ["champion"]), ("2", [])]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["no-such-command"], 2, "no-such-command"),
        (["predict", "colours"], 2, "Missing argument"),
        (["predict", "nobody", "."], 3, "nobody"),
        (["predict", "colours/9", "."], 3, "9"),
        (["predict", "colours", "no-such-folder"], 3, "no-such-folder"),
        (["predict", "not a name", "."], 8, "not a name"),
        (["history", "nobody"], 3, "nobody"),
        (["train", "digits-quick", "--or-begin"], 8, "give both, or neither"),
        (["models", "--store", "no-such-folder"], 7, "no-such-folder"),
        (["train", "no-such-recipe"], 3, "digits-quick"),
        (["train", "digits-quick", "--set", "schedule.epochs=none"], 5, "schedule.epochs"),
        (["export", "colours", "--recipe", "no-such-recipe"], 3, "quick"),
        (["serve", "--http-port", "70000"], 5, "http_port"),
    ],
)
def test_an_error_is_one_line_and_a_code_of_its_kind(
    packages: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    store = [] if "--store" in arguments or code == 2 else ["--store", str(packages)]
    returned, out, err = run(*arguments, *store, cwd=tmp_path)
    assert (returned, out) == (code, "")
    assert words in err.splitlines()[-1]
    assert "Traceback" not in err


def test_an_interruption_has_its_code_whatever_a_library_makes_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def trains() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    monkeypatch.setattr(cli, "app", trains)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 130
    assert capsys.readouterr().err == "tidegate: interrupted\n"


def test_predict_answers_a_folder_and_goes_on_where_it_stopped(packages: Path, tmp_path: Path) -> None:
    pictures, results = tmp_path / "pictures", tmp_path / "results.jsonl"
    pictures.mkdir()
    for seed in range(6):
        (pictures / f"{seed}.jpg").write_bytes(encoded(seed))
    command = ("predict", "colours", pictures, "--out", results, "--store", packages)
    code, _, err = run(*command, cwd=tmp_path)
    assert (code, "6 answered, 0 failed, 0 skipped" in err) == (0, True)
    (pictures / "broken.jpg").write_bytes(b"not a picture")
    code, _, err = run(*command, cwd=tmp_path)
    assert (code, "0 answered, 1 failed, 6 skipped" in err) == (8, True)
    code, _, err = run(*command, cwd=tmp_path)
    assert (code, "0 answered, 0 failed, 7 skipped" in err) == (0, True)
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert [row["file"] for row in rows] == [*(f"{seed}.jpg" for seed in range(6)), "broken.jpg"]
    assert all(row["prediction"]["classes"][0]["label"] in LABELS for row in rows[:6])
    assert rows[6]["error_kind"] == "bad_input"


def test_predict_prints_to_stdout_without_out(packages: Path, tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(encoded(1))
    code, out, _ = run("predict", "colours/2", tmp_path / "one.jpg", "--store", packages, cwd=tmp_path)
    assert code == 0
    assert json.loads(out)["version"] == "2"
