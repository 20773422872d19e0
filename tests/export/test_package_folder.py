"""A package's folder is new, and gone where the export fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.package_folder import new_package_folder
from tasks.errors import Conflict


def test_folder_is_made_and_stays_where_all_went_well(tmp_path: Path) -> None:
    with new_package_folder(tmp_path / "deep" / "package") as folder:
        (folder / "file").write_bytes(b"kept")
    assert (tmp_path / "deep" / "package" / "file").read_bytes() == b"kept"


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    def fail_halfway() -> None:
        with new_package_folder(tmp_path / "package") as folder:
            (folder / "file").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_halfway()
    assert not (tmp_path / "package").exists()


def test_what_stands_there_already_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"theirs")
    with pytest.raises(Conflict, match="not empty"), new_package_folder(tmp_path):
        pass
    assert (tmp_path / "file").read_bytes() == b"theirs"
