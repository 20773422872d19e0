"""An export that failed leaves what a person needs to see why."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.tolerance_missed import ToleranceMissed
from tasks.errors import GateFailed
from tidegate.build_folder import build_folder
from tidegate.failed_exports import keep_forgotten, sheet_list


@pytest.fixture(autouse=True)
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_error_names_the_sheets_that_outlive_the_build(tmp_path: Path) -> None:
    sheets = {"int8/forgotten.json": b"{}", "int8/forgotten.png": b"picture", "fp32/forgotten.json": b"{}"}
    with (
        pytest.raises(GateFailed, match=r"the table\n\nwhat each variant forgot: .*int8/forgotten\.png$"),
        build_folder(),
    ):
        raise ToleranceMissed("digits", "the table", sheets)
    (folder,) = (tmp_path / ".tidegate" / "failed-exports").iterdir()
    assert folder.name.startswith("digits-")
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")} == set(sheets)
    assert not list((tmp_path / ".tidegate").glob("build-*"))


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    for error in (GateFailed("nothing exported"), ValueError("a mistake")):
        with pytest.raises(type(error), match=str(error)), keep_forgotten():
            raise error
    assert not (tmp_path / ".tidegate").exists()


def test_folder_stands_for_itself_where_no_answer_changed(tmp_path: Path) -> None:
    (tmp_path / "int8").mkdir()
    (tmp_path / "int8" / "forgotten.json").touch()
    assert sheet_list(tmp_path) == f"{tmp_path}/ (no answer changed)"
    (tmp_path / "int8" / "forgotten.md").touch()
    assert sheet_list(tmp_path) == f"{tmp_path}/int8/forgotten.md"
