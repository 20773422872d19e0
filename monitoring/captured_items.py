"""Reading back what servers captured: each picture or prompt with its answer, and its label if one came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from monitoring.captured import ROWS_SUFFIX, TRUTH_SUFFIX, CapturedRow, TruthRow, day_folders
from monitoring.parquet_rows import read_rows
from tasks.errors import BadInput

Row = TypeVar("Row", CapturedRow, TruthRow)


@dataclass(frozen=True, slots=True)
class CapturedItem:
    """One picture or prompt."""

    row: CapturedRow
    picture: Path | None
    """The file as it was sent; None for a prompt."""
    truth: Mapping[str, Any] | None
    """What feedback said, see docs/capture.md; None where none came."""
    mask: Path | None
    """The labelled mask, of a segmentation that got one."""


def read_captured(
    root: Path, model: str, since: datetime | None = None, until: datetime | None = None
) -> Iterator[CapturedItem]:
    """Everything of one model in a capture folder that was answered from `since` on and before `until`, oldest batch
    first. A row whose picture is gone is left out: old files are removed while somebody reads.

    Raises BadInput for a file that is damaged."""
    labels = read_truth(root, model, since)
    for folder in day_folders(root, model, since):
        for path in sorted(folder.glob(f"[!.]*{ROWS_SUFFIX}")):
            for row in rows_of(path, CapturedRow):
                picture = folder / row.picture if row.picture else None
                if is_wanted(row.at, since, until) and (picture is None or picture.is_file()):
                    yield labelled(row, picture, labels.get((row.request_id, row.index)))


def is_wanted(at: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or at >= since) and (until is None or at < until)


def labelled(row: CapturedRow, picture: Path | None, label: tuple[TruthRow, Path] | None) -> CapturedItem:
    """A label whose mask is gone is none."""
    if label is None:
        return CapturedItem(row, picture, None, None)
    told, folder = label
    mask = folder / told.mask if told.mask else None
    if mask is not None and not mask.is_file():
        return CapturedItem(row, picture, None, None)
    return CapturedItem(row, picture, msgspec.json.decode(told.truth, type=dict[str, Any]), mask)


def read_truth(root: Path, model: str, since: datetime | None) -> dict[tuple[str, int], tuple[TruthRow, Path]]:
    """(request id, index) → what was said last, and the folder that its mask is in. Labels come after their requests,
    so none of before `since` is needed."""
    labels: dict[tuple[str, int], tuple[TruthRow, Path]] = {}
    for folder in day_folders(root, model, since):
        for path in sorted(folder.glob(f"[!.]*{TRUTH_SUFFIX}")):
            for row in rows_of(path, TruthRow):
                key = row.request_id, row.index
                if key not in labels or labels[key][0].at <= row.at:
                    labels[key] = row, folder
    return labels


def rows_of(path: Path, kind: type[Row]) -> list[Row]:
    """None of a file that was removed since it was listed."""
    try:
        return read_rows(path, kind)
    except FileNotFoundError:
        return []


def models_in(root: Path) -> list[str]:
    """Those that anything was captured of. Raises BadInput where there is no folder."""
    if not root.is_dir():
        raise BadInput(f"{root} is no folder; give the capture_dir of a server")
    return sorted(one.name for one in root.iterdir() if one.is_dir())
