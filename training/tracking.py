"""What MLflow is told about a training run. The only file of training that imports mlflow.

Everything goes through a client that is told where to write: no global tracking state, nothing in the working
directory, nothing pickled.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

# Read when mlflow is imported: this project talks to nobody it was not told to.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow.artifacts
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from registry.mlflow_client import experiment_id, open_client
from registry.shared_database import alone_with
from registry.tracking import database_file

CHECKPOINT_ARTIFACT = "checkpoint"
MAX_PARAM_CHARACTERS = 500
SETTLE_S = 1.0
"""A server shows a run a moment after it was begun: whoever chooses among those of one moment must see them all."""
JOINED_TAG = "tidegate.joined"
"""Of the one that somebody chose: whoever took longer to make an earlier one takes it too."""


class RunTracker:
    """One MLflow run: parameters, metrics by epoch, artifacts, and the registered version that comes of it."""

    def __init__(self, client: MlflowClient, run_id: str, tracking_uri: str) -> None:
        self._client = client
        self.tracking_uri = tracking_uri
        self.run_id = run_id

    @classmethod
    def start(cls, tracking_uri: str, workdir: Path, experiment: str, tags: Mapping[str, str]) -> RunTracker:
        """A new run. Files of an embedded store go under `workdir`; a tracking server decides for itself."""
        client = open_client(tracking_uri)
        place = experiment_id(client, tracking_uri, experiment, workdir / "artifacts")
        run = client.create_run(place, tags=dict(tags))
        return cls(client, run.info.run_id, tracking_uri)

    @classmethod
    def join(
        cls, tracking_uri: str, workdir: Path, experiment: str, tags: Mapping[str, str], shared: str
    ) -> RunTracker:
        """The run of the experiment whose tag `shared` is as in `tags`, made where it is missing: processes that join
        at the same time all get the same one."""
        client, file = open_client(tracking_uri), database_file(tracking_uri)
        place = experiment_id(client, tracking_uri, experiment, workdir / "artifacts")

        def find() -> list[str]:
            found = client.search_runs([place], filter_string=f"tags.`{shared}` = '{tags[shared]}'")
            found = sorted(
                found, key=lambda run: (JOINED_TAG not in run.data.tags, run.info.start_time, run.info.run_id)
            )
            return [run.info.run_id for run in found]

        # Those that use a server are on their own.
        with nullcontext() if file is None else alone_with(file):
            runs = find()
            if not runs:
                own = client.create_run(place, tags=dict(tags)).info.run_id
                if file is None:
                    time.sleep(SETTLE_S)
                runs = find()
                if runs[0] != own:
                    client.delete_run(own)
                client.set_tag(runs[0], JOINED_TAG, "true")
        return cls.reopen(tracking_uri, runs[0])

    @classmethod
    def reopen(cls, tracking_uri: str, run_id: str) -> RunTracker:
        """A run that was interrupted, to be continued."""
        client = open_client(tracking_uri)
        client.update_run(run_id, status="RUNNING")
        return cls(client, run_id, tracking_uri)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Parameters of the run, once."""
        entries = [Param(name, str(value)[:MAX_PARAM_CHARACTERS]) for name, value in params.items()]
        self._client.log_batch(self.run_id, params=entries)

    def log_metrics(self, metrics: Mapping[str, float], epoch: int, time_ms: int) -> None:
        """Figures of one epoch."""
        entries = [Metric(name, value, time_ms, epoch) for name, value in metrics.items()]
        self._client.log_batch(self.run_id, metrics=entries)

    def tag(self, name: str, value: str) -> None:
        """A fact about the run as a whole."""
        self._client.set_tag(self.run_id, name, value)

    def log_folder(self, folder: Path, artifact_path: str) -> None:
        """Every file of a folder."""
        self._client.log_artifacts(self.run_id, str(folder), artifact_path)

    def local_folder(self, artifact_path: str) -> Path:
        """Artifacts of this run as a folder of this machine: where they lie, or a download of a server's."""
        root = self._client.get_run(self.run_id).info.artifact_uri
        if urlparse(root).scheme == "file":
            return Path(url2pathname(urlparse(root).path)) / artifact_path
        uri = f"runs:/{self.run_id}/{artifact_path}"
        return Path(mlflow.artifacts.download_artifacts(uri, tracking_uri=self.tracking_uri))

    def register(self, name: str, artifact_path: str, tags: Mapping[str, str]) -> int:
        """Makes artifacts of this run the next version of a registered model, once; returns its number."""
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"{self._client.get_run(self.run_id).info.artifact_uri}/{artifact_path}"
        for known in self._client.search_model_versions(f"name = '{name}' and run_id = '{self.run_id}'"):
            if known.source == source:
                return int(known.version)
        version = self._client.create_model_version(name, source, self.run_id, tags=dict(tags))
        return int(version.version)

    def end(self, status: str) -> None:
        """FINISHED, FAILED or KILLED."""
        self._client.set_terminated(self.run_id, status)
