"""A picture file whose annotation was read from files beside it, and the source that is made of such files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.errors import NotFound
from training.data.annotation import Annotation
from training.data.box import Box
from training.data.config import FilesConfig
from training.data.file_split import FileSplit
from training.data.lazy import LazySequence
from training.data.partition import draw_missing
from training.data.source import AnnotatedSplitSource, SplitName


@dataclass(frozen=True, slots=True)
class FileObject:
    """One object of a picture. `crowd` as in Annotation."""

    class_id: int
    box: Box
    crowd: bool = False


@dataclass(frozen=True, slots=True)
class AnnotatedFile:
    """One picture. Its mask is made when it is asked for: `encode_mask` returns a PNG, and can be pickled. `caption` as
    in Annotation."""

    path: Path
    objects: tuple[FileObject, ...] = ()
    encode_mask: Callable[[], bytes] | None = None
    caption: str = ""

    def annotation(self) -> Annotation:
        """All that is known about the picture."""
        return Annotation(
            boxes=np.array([each.box for each in self.objects], np.float32).reshape(-1, 4),
            class_ids=np.array([each.class_id for each in self.objects], np.int64),
            crowd=np.array([each.crowd for each in self.objects], np.bool_),
            encoded_mask=self.encode_mask() if self.encode_mask else b"",
            caption=self.caption,
        )


def open_annotated_files(
    labels: tuple[str, ...],
    mask_labels: tuple[str, ...],
    parts: Mapping[SplitName, Sequence[AnnotatedFile]],
    config: FilesConfig,
) -> AnnotatedSplitSource:
    """The source of files that were read and found sound. Of validation and test, what `parts` does not have is drawn
    at random from training. Raises NotFound for a split without pictures."""
    files = draw_missing(parts, [0] * len(parts["train"]), config)
    for name, pictures in files.items():
        if not pictures:
            raise NotFound(f"data.path: {config.path} has no pictures for {name}; every split needs at least one")
    splits = {
        name: FileSplit([each.path for each in pictures], LazySequence(pictures, AnnotatedFile.annotation))
        for name, pictures in files.items()
    }
    return AnnotatedSplitSource(labels, mask_labels, splits)
