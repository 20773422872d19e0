"""What a server keeps of sampled requests, and where: the layout that its writer and every reader share.

    {folder}/{model}/{day}/{batch}.rows.parquet      one row for each picture or prompt
                           {batch}.0001.jpg, …       the pictures as they came
                           {batch}.truth.parquet     labels that came later, for rows of any batch
                           {batch}.mask.0001.png     those that are masks

A batch is what one server process gathered within some seconds. Its name begins with the time at which it was opened
and holds a word of the process, so that several servers may share a folder. Files appear whole or not at all: they are
written under a name with a leading dot and then renamed. docs/capture.md describes the columns.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

DAY_FORMAT, TIME_FORMAT = "%Y-%m-%d", "%H%M%S%f"
"""To the microsecond, so that names of batches sort as they were opened, whoever opened them."""
STEM = re.compile(r"([01]\d|2[0-3])([0-5]\d){2}\d{6}-\w+-\d{6,}", re.ASCII)
"""Of a batch's name, which begins with a time of day; whatever else lies in the folder is somebody else's."""
ROWS_SUFFIX, TRUTH_SUFFIX = ".rows.parquet", ".truth.parquet"


@dataclass(frozen=True, slots=True)
class CapturedRow:
    """One picture or prompt and what was answered."""

    request_id: str
    index: int
    """Of the picture or prompt within its request, from 0."""
    at: datetime
    """When it was answered, UTC."""
    model: str
    version: str
    variant: str
    kind: str
    """Of task: classification, detection, …"""
    parameters: str
    """JSON object: those of the request, defaults included."""
    prediction: str
    """JSON: what was answered, without the pixels of a mask."""
    picture: str
    """Name of its file in the batch's folder; empty for a prompt."""
    prompt: str
    """The text; of a conversation, its messages as JSON; empty for a picture."""


@dataclass(frozen=True, slots=True)
class TruthRow:
    """What feedback said about one picture or prompt, which need not have been captured."""

    request_id: str
    index: int
    at: datetime
    """When the feedback came, UTC."""
    version: str
    truth: str
    """JSON object, see docs/capture.md."""
    mask: str
    """Name of its file in the batch's folder; empty where the truth is no mask."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One process's files of a few seconds. `stem`: what their names begin with, up to the first dot."""

    model: str
    day: str
    stem: str

    @classmethod
    def opened(cls, model: str, at: datetime, writer: str, number: int) -> Batch:
        """`writer`: a word that no other process has; `number`: of its batches."""
        return cls(model, at.strftime(DAY_FORMAT), f"{at.strftime(TIME_FORMAT)}-{writer}-{number:06}")

    @property
    def opened_at(self) -> datetime:
        """UTC."""
        told = datetime.strptime(f"{self.day} {self.stem[:12]}", f"{DAY_FORMAT} {TIME_FORMAT}")
        return told.replace(tzinfo=UTC)

    def folder(self, root: Path) -> Path:
        """Where its files are."""
        return root / self.model / self.day


def batches_in(folder: Path) -> dict[Batch, list[str]]:
    """Names of the files of each batch in the folder of a day, those being written included, oldest batch first. Only
    names are asked for, for there may be very many. Empty where the folder is gone, or none."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    try:
        for name in os.listdir(folder):
            found[name.removeprefix(".").partition(".")[0]].append(name)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    stems = sorted(stem for stem in found if STEM.fullmatch(stem))
    return {Batch(folder.parent.name, folder.name, stem): found[stem] for stem in stems}


def is_unfinished(path: Path) -> bool:
    """Whether a file is being written, or was when its writer ended."""
    return path.name.startswith(".")


def is_day(path: Path) -> bool:
    """Whether this is the name of a day's folder."""
    try:
        datetime.strptime(path.name, DAY_FORMAT)
    except ValueError:
        return False
    return True


def day_folders(root: Path, model: str, since: datetime | None = None) -> list[Path]:
    """Those that may hold what came since then, oldest first."""
    try:
        days = [one for one in (root / model).iterdir() if one.is_dir()]
    except FileNotFoundError:
        return []
    # A batch belongs to the day on which it was opened, and may hold what came after midnight.
    first = "" if since is None else (since.astimezone(UTC) - timedelta(days=1)).strftime(DAY_FORMAT)
    return sorted(one for one in days if one.name >= first)
