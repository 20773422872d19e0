from __future__ import annotations

import pickle
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.annotation import Annotation
from training.data.archive import ArchiveSplit, write_archive
from training.data.source import Example, MemorySplit

EXAMPLES = st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.integers(0, 9)), min_size=1, max_size=8)


@given(EXAMPLES)
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[bytes, int]]) -> None:
    examples = [Example(*row) for row in rows]
    folder = tmp_path_factory.mktemp("archive") / "split"
    write_archive(folder, examples)
    split = ArchiveSplit(folder)
    assert list(split) == examples
    assert split[-1] == examples[-1]
    assert split.targets == tuple(target for _, target in rows)
    # A split is the same data however it is stored.
    assert split.digest == MemorySplit(examples).digest


def annotation(*class_ids: int) -> Annotation:
    count = len(class_ids)
    boxes = np.arange(4 * count, dtype=np.float32).reshape(count, 4)
    return Annotation(boxes, np.array(class_ids, np.int64), np.zeros(count, np.bool_), b"mask", "a caption")


def test_annotations_are_kept_as_classes_are(tmp_path: Path) -> None:
    examples = [Example(b"one", annotation(1, 2)), Example(b"two", annotation())]
    write_archive(tmp_path / "split", examples)
    split = pickle.loads(pickle.dumps(ArchiveSplit(tmp_path / "split")))
    assert list(split) == examples
    assert list(split.targets) == split.targets[:] == [example.target for example in examples]
    assert split.digest == MemorySplit(examples).digest


def test_the_digest_covers_annotations() -> None:
    assert MemorySplit([Example(b"x", annotation(1))]).digest != MemorySplit([Example(b"x", annotation(2))]).digest


def test_a_split_written_before_there_were_annotations_still_opens(tmp_path: Path) -> None:
    folder = tmp_path / "split"
    examples = [Example(b"one", 1), Example(b"two", 2)]
    write_archive(folder, examples)
    facts = msgspec.json.decode((folder / "split.json").read_bytes())
    old = {"count": facts["count"], "digest": facts["digest"]}
    (folder / "split.json").write_bytes(msgspec.json.encode(old))
    assert list(ArchiveSplit(folder)) == examples


def test_a_worker_process_gets_a_split_of_its_own(tmp_path: Path) -> None:
    write_archive(tmp_path / "split", [Example(b"one", 1), Example(b"two", 2)])
    copy = pickle.loads(pickle.dumps(ArchiveSplit(tmp_path / "split")))
    assert copy[1] == Example(b"two", 2)


def test_beyond_the_end_is_an_index_error(tmp_path: Path) -> None:
    write_archive(tmp_path / "split", [Example(b"one", 1)])
    with pytest.raises(IndexError):
        ArchiveSplit(tmp_path / "split")[1]


def test_an_interrupted_writing_leaves_no_split_behind(tmp_path: Path) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield Example(b"one", 1)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        write_archive(tmp_path / "split", broken())
    assert not (tmp_path / "split").exists()
