"""What servers captured and people labelled, as data to learn from.

A capture folder forgets: its files go when they are old. So what has a label is copied, once, into a folder of a layout
that training reads anyway, named by its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from monitoring.captured import batches_in, day_folders, is_day
from monitoring.captured_items import CapturedItem, read_captured
from tasks.chat_template import ChatTemplate
from tasks.errors import NotFound
from training.data.added import NothingNew
from training.data.captured_layouts import WRITERS, Labels, source_of, texts_of
from training.data.config import DataConfig
from training.data.source import open_part
from training.recipe import TaskName


def is_captured(path: Path, model: str) -> bool:
    """Whether this is a folder to which servers captured requests of a model."""
    return path.is_dir() and any(holds_captured(day) for day in day_folders(path, model))


def holds_other_models(path: Path) -> bool:
    """Whether this is a folder to which servers captured requests of any model."""
    return any(holds_captured(day) for day in path.glob("*/*"))


def holds_captured(day: Path) -> bool:
    """Rows, or pictures whose rows are still gathered: the folder of their model is no class to learn."""
    return next(day.glob("*.parquet"), None) is not None or (is_day(day) and bool(batches_in(day)))


@dataclass(frozen=True)
class Captured:
    """What was captured of a model below `path`. `labels`: those of the model, in order; `chat`: how it is given
    conversations, None where it takes none."""

    path: Path
    model: str
    task: TaskName
    labels: Labels = ()
    chat: ChatTemplate | None = None

    def take_snapshot(self, keep: Path, known: Sequence[Path] = ()) -> DataConfig:
        """Copies what has a label into a folder of `keep`; the same content, the same folder. What is in one of the
        snapshots `known` is passed by: it would be learnt from here and held out there. Of the same picture, labelled
        several times, the last label counts. Raises NothingNew where nothing is left, BadInput for a damaged file."""
        labelled = [self.put(item) for item in read_captured(self.path, self.model) if is_labelled(item)]
        if not labelled:
            raise NothingNew(
                f"--data {self.path}: of what was captured of {self.model!r} nothing has a label; send some to "
                f"/v1/models/{self.model}/feedback while capture is on (docs/feedback.md)"
            )
        learnt = {sha256(file.read_bytes()) for folder in known for file in folder.rglob("*") if file.is_file()}
        distinct = {contents: item for item in labelled if not (contents := contents_of(item)) <= learnt}
        if not distinct:
            raise NothingNew(
                f"--data {self.path}: the champion has learnt from everything labelled there already; label some more"
            )
        items = list(distinct.values())
        target = keep / f"{self.model}-{digest_of(items)[:16]}"
        if not target.exists():
            keep.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix="snapshot-", dir=keep) as scratch:
                whole = Path(scratch) / "whole"
                whole.mkdir()
                WRITERS[self.task](items, self.labels, whole)
                whole.rename(target)
        config = source_of(target.resolve(), self.task, self.labels)
        try:
            open_part(config)
        except NotFound as error:
            raise NothingNew(
                f"--data {self.path}: too little has a label yet to learn from it ({error}); label some more"
            ) from error
        return config

    def put(self, item: CapturedItem) -> CapturedItem:
        """A conversation as the model reads it; anything else as it is."""
        messages = messages_of(item.row.prompt) if self.chat is not None else None
        if self.chat is None or messages is None:
            return item
        return replace(item, row=replace(item.row, prompt=self.chat.render(messages)))


def messages_of(prompt: str) -> list[Mapping[str, object]] | None:
    """Of a conversation, None of a plain prompt."""
    try:
        found = msgspec.json.decode(prompt, type=list[dict[str, object]])
    except msgspec.MsgspecError:
        return None
    return [*found] if found and all({"role", "content"} <= message.keys() for message in found) else None


def is_labelled(item: CapturedItem) -> bool:
    """Whether there is something to learn: a rating alone says nothing about what would have been right."""
    if item.truth is None:
        return False
    return item.mask is not None or any(item.truth.get(key) is not None for key in ("label", "objects", "references"))


def contents_of(item: CapturedItem) -> frozenset[str]:
    """What a snapshot holds of it: the picture, or a text for each reference."""
    return frozenset(
        [sha256(item.picture.read_bytes())] if item.picture else [sha256(text.encode()) for text in texts_of(item)]
    )


def digest_of(items: Sequence[CapturedItem]) -> str:
    """sha256 of what is labelled and how."""
    total = hashlib.sha256()
    for item in items:
        payload = item.picture.read_bytes() if item.picture else item.row.prompt.encode()
        mask = item.mask.read_bytes() if item.mask else b""
        for part in (payload, msgspec.json.encode(item.truth, order="deterministic"), mask):
            total.update(hashlib.sha256(part).digest())
    return total.hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
