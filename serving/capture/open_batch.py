"""A batch of one model while it is gathered: pictures go to files at once, rows into one file at its end."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import msgspec

from monitoring.captured import ROWS_SUFFIX, TRUTH_SUFFIX, Batch, CapturedRow, TruthRow
from monitoring.parquet_rows import write_rows
from serving.capture.item import CapturedAnswer, CapturedLabel
from serving.capture.summary import summary_of

SUFFIXES = {b"\xff\xd8\xff": "jpg", b"\x89PNG": "png", b"GIF8": "gif", b"BM": "bmp", b"RIFF": "webp"}
"""By what a file begins with: all that the decoder reads."""
FILE_OVERHEAD = 16_384
"""Bytes of a Parquet file beside its texts, at most."""


@dataclass
class OpenBatch:
    """Everything raises OSError where it can not be written."""

    root: Path
    batch: Batch
    opened_at: float = field(default_factory=monotonic)
    rows: list[CapturedRow] = field(default_factory=list)
    truths: list[TruthRow] = field(default_factory=list)
    max_bytes_of_rows: int = 2 * FILE_OVERHEAD
    """What the files of its rows may take."""
    _num_files: int = 0

    @property
    def num_items(self) -> int:
        return len(self.rows) + len(self.truths)

    def add(self, answer: CapturedAnswer) -> int:
        """Its picture is a file when this returns. Returns the bytes that were written."""
        asked, facts = answer.asked, answer.facts
        # First what may go wrong without the disk's fault: no picture is left without a row.
        prompt = asked.prompt if isinstance(asked.prompt, str) else msgspec.json.encode(asked.prompt).decode()
        parameters, prediction = msgspec.json.encode(answer.params).decode(), summary_of(answer.conclude())
        row = CapturedRow(
            request_id=asked.request_id,
            index=asked.index,
            at=answer.at,
            model=facts.model,
            version=facts.version,
            variant=facts.variant,
            kind=facts.kind,
            parameters=parameters,
            prediction=prediction,
            picture=self._put(asked.picture, suffix_of(asked.picture)) if asked.picture else "",
            prompt=prompt,
        )
        self.rows.append(row)
        self._reckon(row.request_id, parameters, prediction, prompt)
        return len(asked.picture)

    def add_label(self, label: CapturedLabel) -> int:
        """Its mask is a file when this returns. Returns the bytes that were written."""
        mask = self._put(label.mask, "png", "mask.") if label.mask else ""
        truth = msgspec.json.encode(label.truth).decode()
        self.truths.append(TruthRow(label.request_id, label.index, label.at, label.version, truth, mask))
        self._reckon(label.request_id, truth)
        return len(label.mask)

    def _reckon(self, *texts: str) -> None:
        """Names, numbers and times of a row take less than the 256 bytes beside its texts."""
        self.max_bytes_of_rows += 256 + sum(len(text.encode()) for text in texts)

    def _put(self, content: bytes, suffix: str, prefix: str = "") -> str:
        """A new file of this batch. Returns its name."""
        self._num_files += 1
        name = f"{self.batch.stem}.{prefix}{self._num_files:04}.{suffix}"
        folder = self._folder()
        (folder / f".{name}").write_bytes(content)
        os.replace(folder / f".{name}", folder / name)
        return name

    def finish(self) -> int:
        """Its rows are files when this returns. Returns the bytes that were written."""
        num_bytes = 0
        # One after the other, and the type checker sees that each file holds rows of one kind.
        if self.rows:
            num_bytes += self._put_rows(self.rows, ROWS_SUFFIX)
        if self.truths:
            num_bytes += self._put_rows(self.truths, TRUTH_SUFFIX)
        return num_bytes

    def _put_rows(self, rows: list[CapturedRow] | list[TruthRow], suffix: str) -> int:
        name, folder = f"{self.batch.stem}{suffix}", self._folder()
        write_rows(folder / f".{name}", rows)
        os.replace(folder / f".{name}", folder / name)
        return (folder / name).stat().st_size

    def _folder(self) -> Path:
        folder = self.batch.folder(self.root)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def suffix_of(picture: bytes) -> str:
    """Of an encoded picture's file."""
    return next((suffix for magic, suffix in SUFFIXES.items() if picture.startswith(magic)), "bin")
