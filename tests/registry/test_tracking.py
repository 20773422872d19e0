"""What a tracking URI means, and where the artifacts of its experiments go."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.tracking import artifact_location, database_file, is_tracking_uri, without_password
from tasks.errors import BadInput


@pytest.mark.parametrize("uri", ["http://mlflow:5000", "sqlite:///mlflow.db", "postgresql+psycopg://mlflow@db/mlflow"])
def test_servers_and_databases_are_tracking_uris(uri: str) -> None:
    assert is_tracking_uri(uri)


def test_a_folder_is_none() -> None:
    assert not is_tracking_uri("/mnt/models")


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("sqlite:///mlflow.db", Path("mlflow.db")),
        ("sqlite:////shared/mlflow.db?timeout=60&check_same_thread=false", Path("/shared/mlflow.db")),
        ("postgresql+psycopg://mlflow@db/mlflow", None),
    ],
)
def test_options_of_a_driver_belong_to_no_file(uri: str, file: Path | None) -> None:
    assert database_file(uri) == file


def test_a_server_decides_by_itself() -> None:
    assert artifact_location("https://mlflow.example.com") is None


def test_an_embedded_database_keeps_artifacts_beside_it(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert artifact_location(uri) == (tmp_path / "artifacts").as_uri()
    assert artifact_location(uri, tmp_path / "elsewhere") == (tmp_path / "elsewhere").as_uri()


def test_a_shared_database_needs_to_be_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    uri = "postgresql+psycopg://mlflow:hunter2@db/mlflow"
    monkeypatch.delenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", raising=False)
    with pytest.raises(BadInput, match="MLFLOW_DEFAULT_ARTIFACT_ROOT") as told:
        artifact_location(uri, tmp_path)
    assert "hunter2" not in str(told.value)
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", "s3://bucket/artifacts")
    assert artifact_location(uri, tmp_path) == "s3://bucket/artifacts"


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("postgresql+psycopg://tide:s3cret@db:5432/mlflow", "postgresql+psycopg://tide:…@db:5432/mlflow"),
        ("https://user:a:b@host/path", "https://user:…@host/path"),
        ("http://host:5000", "http://host:5000"),
        ("postgresql://tide@db/mlflow", "postgresql://tide@db/mlflow"),
        ("sqlite:////tmp/a@b:c.db", "sqlite:////tmp/a@b:c.db"),
    ],
)
def test_messages_tell_no_password(uri: str, told: str) -> None:
    assert without_password(uri) == told
