"""The `files` source: any UTF-8 files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasks.errors import NotFound
from training.data.config import TextFilesConfig
from training.data.partition import partition_indices
from training.data.problems import Problems
from training.data.source import SPLITS, DocumentSource, Example, MemorySplit, SplitName
from training.progress import track


def open_text_files(config: TextFilesConfig) -> DocumentSource:
    """The texts below train/, validation/ and test/ where those exist; else all texts, split at random, of which one
    that occurs several times is taken once. Raises NotFound, and BadInput with every file that is no text."""
    root, problems = Path(config.path), Problems()
    ready = {name: root / name for name in SPLITS}
    if all(folder.is_dir() for folder in ready.values()):
        parts = {name: read_texts(folder, config, problems) for name, folder in ready.items()}
    else:
        parts = {"train": read_texts(root, config, problems)}
    problems.raise_any("files")
    splits = parts if len(parts) > 1 else draw_splits(list(dict.fromkeys(parts["train"])), config)
    for name, texts in splits.items():
        if not texts:
            raise NotFound(
                f"data.path: {config.path} has no texts for {name}; every split needs one or more: give more files, or "
                "cut them by data.separator"
            )
    return DocumentSource(
        {name: MemorySplit(Example(text.encode(), None) for text in texts) for name, texts in splits.items()}
    )


def draw_splits(texts: Sequence[str], config: TextFilesConfig) -> dict[SplitName, list[str]]:
    """At random, by the seed."""
    fractions = {"validation": config.validation_fraction, "test": config.test_fraction}
    drawn = partition_indices([0] * len(texts), fractions, config.seed)
    return {name: [texts[i] for i in part] for name, part in drawn.items()}


def read_texts(root: Path, config: TextFilesConfig, problems: Problems) -> list[str]:
    """Every text, in the order of the files; what cannot be one is added to `problems`. Raises NotFound."""
    paths = list_files(root, config.pattern)
    if not paths:
        raise NotFound(f"data.path: {root} is no file, and no folder in which {config.pattern!r} finds files")
    texts = []
    for path in track(paths, "reading texts", len(paths)):
        content = read_text(path, problems)
        pieces = content.split(config.separator) if config.separator else [content]
        texts += [piece for piece in pieces if piece.strip()]
    return texts


def list_files(root: Path, pattern: str) -> list[Path]:
    """A file itself, or those of a folder that a pattern finds, hidden ones left out, in the order of their paths."""
    if root.is_file():
        return [root]
    found = root.glob(pattern) if root.is_dir() else ()
    return sorted(
        path
        for path in found
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def read_text(path: Path, problems: Problems) -> str:
    """A file's text, its lines ended by \\n; empty where there is a problem."""
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        problems.add(path, f"it cannot be opened ({error.strerror})")
        return ""
    except UnicodeDecodeError as error:
        problems.add(
            path,
            f"it is not UTF-8 (byte {error.start} is 0x{error.object[error.start]:02x}); data.pattern may pass it by",
        )
        return ""
    if not text.strip():
        problems.add(path, "it is empty")
    return text
