from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import BadInput, NotFound
from training.data.config import TextFilesConfig
from training.data.source import SPLITS, DataSource
from training.data.text_files import open_text_files


def texts(source: DataSource) -> dict[str, list[str]]:
    return {name: [example.payload.decode() for example in source.split(name)] for name in SPLITS}


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.txt").write_text(content)


def test_every_text_belongs_to_one_split(tmp_path: Path) -> None:
    write(tmp_path / "inner", **{f"n{i}": f"text {i}" for i in range(20)})
    write(tmp_path, again="text 3")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index").write_bytes(b"\xff\x00")
    found = texts(open_text_files(TextFilesConfig(path=str(tmp_path))))
    assert sorted(text for part in found.values() for text in part) == sorted(f"text {i}" for i in range(20))
    assert [len(found[name]) for name in SPLITS] == [14, 3, 3]
    assert texts(open_text_files(TextFilesConfig(path=str(tmp_path), seed=1))) != found


def test_ready_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    for name in SPLITS:
        write(tmp_path / name, a=f"of {name}")
    assert texts(open_text_files(TextFilesConfig(path=str(tmp_path)))) == {name: [f"of {name}"] for name in SPLITS}


def test_a_split_that_has_no_folder_is_drawn_from_training(tmp_path: Path) -> None:
    write(tmp_path / "train", **{f"n{i}": f"text {i % 10}" for i in range(20)})
    write(tmp_path / "test", a="of test")
    found = texts(open_text_files(TextFilesConfig(path=str(tmp_path), validation_fraction=0.2)))
    assert found["test"] == ["of test"]
    assert sorted(found["train"] + found["validation"]) == [f"text {i}" for i in range(10)]
    assert len(found["validation"]) == 2


def test_one_file_may_hold_many_texts(tmp_path: Path) -> None:
    (tmp_path / "poems.txt").write_bytes(
        "\ufeff".encode() + b"one\r\n---\r\n" + b"two\n---\n three\n---\nfour\n---\n\n"
    )
    config = TextFilesConfig(
        path=str(tmp_path / "poems.txt"), separator="---\n", validation_fraction=0.3, test_fraction=0.3
    )
    found = texts(open_text_files(config))
    assert sorted(text.strip() for part in found.values() for text in part) == ["four", "one", "three", "two"]


def test_all_that_is_no_text_is_named_at_once(tmp_path: Path) -> None:
    write(tmp_path, good="text", empty=" \n")
    (tmp_path / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    with pytest.raises(BadInput, match="3 problems") as caught:
        open_text_files(TextFilesConfig(path=str(tmp_path)))
    said = str(caught.value)
    assert "latin.txt: it is not UTF-8 (byte 3 is 0xe9)" in said
    assert "picture.png" in said
    assert "empty.txt: it is empty" in said
    with pytest.raises(BadInput, match="2 problems"):
        open_text_files(TextFilesConfig(path=str(tmp_path), pattern="*.txt"))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"\*\.md"):
        open_text_files(TextFilesConfig(path=str(tmp_path), pattern="*.md"))
    write(tmp_path, alone="text")
    with pytest.raises(NotFound, match="separator"):
        open_text_files(TextFilesConfig(path=str(tmp_path)))
