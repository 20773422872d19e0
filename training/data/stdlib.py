"""The `stdlib` source: what the authors of Python's standard library wrote about it, as found on this machine.

Every file of the library is one text: its docstrings one after the other. Tests, files that were generated, and
what is installed beside the library are left out, and so is every docstring, and every paragraph of one, that stands
in another place too, nearly or exactly word for word. Then whole modules are held out, those that only implement
another one (`_pydecimal`) together with it: nothing of a held-out module, and no text of it, is learnt from.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from tasks.errors import BadInput, NotFound
from training.data.cache import cache_key, cached_folder
from training.data.config import StdlibConfig
from training.data.docstrings import read_docstrings
from training.data.file_facts import file_stamp
from training.data.near_duplicates import drop_repeated_paragraphs, find_originals
from training.data.source import SPLITS, DocumentSource, Example, MemorySplit, SplitName
from training.progress import track

VERSION = 1
"""Raised whenever other texts would be made of the same files."""
LEFT_OUT = frozenset(
    ("test", "tests", "idle_test", "site-packages", "dist-packages", "encodings", "pydoc_data", "__pycache__")
)
"""Folders, wherever they lie. Codecs and topics are generated tables."""


class ModuleText(msgspec.Struct, frozen=True):
    """What one file says. `module`: the top-level module or package that it belongs to."""

    module: str
    text: str


def open_stdlib(config: StdlibConfig) -> DocumentSource:
    """Documents by split. Raises NotFound where there are no Python files, or none of a split."""
    folder = Path(config.path or sysconfig.get_path("stdlib"))
    splits: dict[SplitName, list[Example]] = {name: [] for name in SPLITS}
    for found in recall_texts(folder):
        splits[choose_split(found.module, config)].append(Example(found.text.encode(), None))
    for name, examples in splits.items():
        if not examples:
            raise NotFound(
                f"data: no module below {folder} falls to {name}; take another data.seed or larger fractions, or give "
                "data.path a folder with more modules"
            )
    return DocumentSource({name: MemorySplit(examples) for name, examples in splits.items()})


def choose_split(module: str, config: StdlibConfig) -> SplitName:
    """By a hash of the module's name and the seed alone: another version of Python moves no module."""
    subject = module.removesuffix(".py")
    if subject.startswith("_"):
        subject = subject.lstrip("_").removeprefix("py")
    digest = hashlib.sha256(f"{config.seed}:{subject}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < config.test_fraction:
        return "test"
    return "validation" if place < config.test_fraction + config.validation_fraction else "train"


def recall_texts(folder: Path) -> list[ModuleText]:
    """What was found when these very files were first read. Raises NotFound."""
    paths = [path for path in sorted(folder.rglob("*.py")) if LEFT_OUT.isdisjoint(path.relative_to(folder).parts)]
    if not paths:
        raise NotFound(f"data: there are no Python files below {folder}; give data.path a folder that has some")
    key = cache_key(VERSION, sys.version, [file_stamp(path) for path in paths])
    cached = cached_folder("stdlib", key, "texts.json", partial(write_texts, folder, paths))
    return msgspec.json.decode((cached / "texts.json").read_bytes(), type=list[ModuleText])


def write_texts(folder: Path, paths: Sequence[Path], target: Path) -> None:
    """Writes texts.json into `target`, in the order of the files."""
    docstrings: list[tuple[int, str]] = []
    for index, path in enumerate(track(paths, "reading docstrings", len(paths))):
        try:
            docstrings += [(index, text) for text in read_docstrings(path)]
        except BadInput:
            # Templates of code generators, and code of other versions of Python, are no loss.
            continue
    originals = find_originals([text for _, text in docstrings])
    by_file: dict[int, list[str]] = {}
    for i, text in zip(originals, drop_repeated_paragraphs([docstrings[i][1] for i in originals]), strict=True):
        if text:
            by_file.setdefault(docstrings[i][0], []).append(text)
    texts = [
        ModuleText(paths[index].relative_to(folder).parts[0], "\n\n".join(found)) for index, found in by_file.items()
    ]
    target.mkdir(exist_ok=True)
    (target / "partial.json").write_bytes(msgspec.json.encode(texts))
    (target / "partial.json").rename(target / "texts.json")
