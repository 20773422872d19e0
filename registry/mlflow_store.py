"""The MLflow store: packages as versions of registered models. Of the lower layers only this file,
registry/mlflow_client.py and registry/mlflow_pyfunc.py import mlflow.

A package is logged as a pyfunc model (so that `mlflow.pyfunc.load_model` and `mlflow models serve` predict with it) and
lies in the model's artifacts under data/package. The digest is a tag of the version; promotion events and claims on
the lock are tags of the registered model, each under a key of its own.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Read when MLflow is imported or makes a request. This project talks to nobody it was not told to; and a server that
# is down should be known to be down in seconds, not after MLflow's default of four minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow.artifacts
import mlflow.models
from mlflow.exceptions import MlflowException

from registry.event import PromotionEvent
from registry.lock import LockRecord
from registry.mlflow_client import experiment_id, open_client
from registry.mlflow_pyfunc import PACKAGE_FOLDER, save_pyfunc
from registry.mlflow_tags import DIGEST_TAG, LOCK_TAG, PACKAGE_TAG, event_tags, events_of, lock_tag, locks_of
from registry.package import ModelPackage, open_package
from registry.package_cache import fetch_into
from registry.reference import ModelRef, VersionInfo, check_alias, check_name, no_such_version
from registry.tracking import EXPERIMENT, database_file, faults_of, without_password
from tasks.errors import BadInput, NotFound, NotReady, Unsupported

S3_MODULES = ("boto3", "botocore")
"""What MLflow imports where artifacts are of S3."""


class MlflowStore:
    """PackageStore on an MLflow tracking server (http, https) or database (sqlite, postgresql…; needs full mlflow)."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._told = without_password(uri)
        self.database = database_file(uri)
        if not uri.startswith("http") and not (find_spec("sqlalchemy") and find_spec("alembic")):
            raise Unsupported(
                f"{self._told} is a database, which this installation can not open (it has mlflow-skinny): pip install "
                "'tidegate[train]', or use an MLflow server (http://…) or a folder of packages"
            )
        # One line for each of dozens of migrations, on the first use of a database.
        for name in ("alembic", "mlflow.store.db.utils"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._faults = faults_of(uri)
        # A database is opened here, and not when it is asked first.
        with self.translated():
            self.client = open_client(uri)

    def __str__(self) -> str:
        return self._told

    def names(self) -> list[str]:
        if self.database is not None and not self.database.exists():
            return []
        with self.translated():
            wanted = f"tags.`{PACKAGE_TAG}` = '1'"
            return sorted(model.name for model in pages(self.client.search_registered_models, filter_string=wanted))

    def versions(self, name: str) -> list[VersionInfo]:
        with self.translated():
            aliases = self.registered(name).aliases
            found = pages(self.client.search_model_versions, filter_string=f"name = '{name}'")
            known = [describe(version, aliases) for version in found if DIGEST_TAG in version.tags]
            return sorted(known, key=lambda info: int(info.version))

    def resolve(self, ref: ModelRef) -> VersionInfo:
        with self.translated():
            self.check_database(ref.name)
            try:
                if ref.version is not None:
                    found = self.client.get_model_version(ref.name, ref.version)
                else:
                    found = self.client.get_model_version_by_alias(ref.name, ref.alias)
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
                raise no_such_version(ref, self.versions(ref.name)) from error
            return describe(found, dict.fromkeys(found.aliases, found.version))

    def fetch(self, info: VersionInfo, cache: Path) -> ModelPackage:
        def download(folder: Path) -> Path:
            source = self.client.get_model_version_download_uri(info.name, info.version)
            where = f"{source}/data/{PACKAGE_FOLDER}"
            return Path(mlflow.artifacts.download_artifacts(where, dst_path=str(folder), tracking_uri=self.uri))

        with self.translated():
            return fetch_into(cache, info, download)

    def publish(self, folder: Path, run_id: str = "", tags: Mapping[str, str] | None = None) -> VersionInfo:
        """Raises Unsupported in an environment without full mlflow. `tags` become tags of the version."""
        package = open_package(folder)
        name = package.manifest.name
        if not find_spec("pandas"):
            raise Unsupported("registering a package needs full mlflow: pip install 'tidegate[train]'")
        with self.translated():
            self.mark_registered(name)
            version = self.log_pyfunc(package, run_id, {**(tags or {}), DIGEST_TAG: package.digest})
            return self.resolve(ModelRef(name=name, version=version))

    def log_pyfunc(self, package: ModelPackage, run_id: str, tags: dict[str, str]) -> str:
        """What `mlflow.pyfunc.log_model` does, through our own client: that function goes by MLflow's global state.

        Returns the version, which is complete from the moment it is seen.
        """
        model = self.client.create_logged_model(self.experiment_id(), PACKAGE_FOLDER, run_id or None, tags)
        with tempfile.TemporaryDirectory() as staging:
            save_pyfunc(package, Path(staging), mlflow.models.Model(run_id=run_id or None, model_id=model.model_id))
            self.client.log_model_artifacts(model.model_id, f"{staging}/model")
        self.client.finalize_logged_model(model.model_id, "READY")
        name, source = package.manifest.name, model.artifact_location
        # A server takes a source only from the logged model that it belongs to; a client that is on the database itself
        # would look that model up in MLflow's global store, which may be another.
        owner = model.model_id if self.uri.startswith("http") else None
        version = self.client.create_model_version(name, source, run_id or None, tags, model_id=owner)
        return str(version.version)

    def set_alias(self, name: str, alias: str, version: str) -> None:
        check_alias(alias, f"{name}@{alias}")
        self.resolve(ModelRef(name=name, version=version))
        with self.translated():
            self.client.set_registered_model_alias(name, alias, version)

    def delete_alias(self, name: str, alias: str) -> None:
        with self.translated():
            self.client.delete_registered_model_alias(name, check_alias(alias, f"{name}@{alias}"))

    def events(self, name: str) -> list[PromotionEvent]:
        if name not in self.names():
            return []
        with self.translated():
            return events_of(self.registered(name).tags)

    def append_event(self, event: PromotionEvent) -> None:
        with self.translated():
            for key, value in event_tags(event):
                self.client.set_registered_model_tag(event.name, key, value)

    def lock_records(self, name: str) -> dict[str, LockRecord]:
        with self.translated():
            return locks_of(self.registered(name).tags)

    def put_lock(self, name: str, key: str, record: LockRecord) -> None:
        with self.translated():
            self.client.set_registered_model_tag(name, *lock_tag(key, record))

    def drop_lock(self, name: str, key: str) -> None:
        try:
            with self.translated():
                self.client.delete_registered_model_tag(name, LOCK_TAG + key)
        except NotFound:
            return

    def check_database(self, name: str) -> None:
        """A question must not create a database: that takes seconds and leaves files behind."""
        if self.database is not None and not self.database.exists():
            raise NotFound(f"no model {name!r}: there is no {self.database} yet; train and export one first")

    def registered(self, name: str) -> Any:
        """The registered model of a name. Raises NotFound, with the names there are."""
        self.check_database(name)
        try:
            return self.client.get_registered_model(check_name(name, name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            known = ", ".join(self.names()) or "none"
            raise NotFound(f"no model {name!r} in {self._told}; it has {known}") from error

    def mark_registered(self, name: str) -> None:
        try:
            self.client.create_registered_model(name, tags={PACKAGE_TAG: "1"})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            self.client.set_registered_model_tag(name, PACKAGE_TAG, "1")

    def experiment_id(self) -> str:
        """Our experiment, made where it is missing."""
        return experiment_id(self.client, self.uri, EXPERIMENT)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """MLflow's errors as ours. Whatever is not about the question itself means that the store is not available."""
        try:
            yield
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise NotFound(f"{self._told}: {error.message}") from error
            if error.error_code in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST"):
                raise BadInput(f"{self._told}: {error.message}") from error
            raise NotReady(f"{self._told} can not be used: {error.message}") from error
        except ModuleNotFoundError as error:
            is_of_s3 = (error.name or "").partition(".")[0] in S3_MODULES
            missing, extra = ("s3:// artifacts", "s3") if is_of_s3 else ("postgresql+psycopg", "postgres")
            raise Unsupported(
                f"{self._told}: its driver is not installed ({error}); for {missing}: pip install 'tidegate[{extra}]'"
            ) from error
        except self._faults as error:
            said = str(error).partition("\n")[0]
            raise NotReady(f"{self._told} can not be reached: {said}") from error


def describe(version: Any, aliases: Mapping[str, str]) -> VersionInfo:
    """MLflow's model version → ours. A version without our tag has no digest, and can not be fetched."""
    created = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    return VersionInfo(
        name=version.name,
        version=str(version.version),
        digest=version.tags.get(DIGEST_TAG, ""),
        created_at=created.isoformat(timespec="seconds"),
        aliases=tuple(sorted(alias for alias, target in aliases.items() if str(target) == str(version.version))),
        run_id=version.run_id or "",
    )


def pages(search: Any, **query: Any) -> Iterator[Any]:
    """Every result of a search that answers in pages."""
    token = None
    while True:
        page = search(page_token=token, **query)
        yield from page
        token = page.token
        if not token:
            return
