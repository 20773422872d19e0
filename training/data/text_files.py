"""The `files` source: any UTF-8 files."""

from __future__ import annotations

from pathlib import Path

from tasks.errors import NotFound
from training.data.config import TextFilesConfig
from training.data.partition import draw_missing
from training.data.problems import Problems
from training.data.source import SPLITS, DocumentSource, Example, MemorySplit
from training.data.split_folders import find_split_folders
from training.data.visible_files import find_visible
from training.progress import track


def open_text_files(config: TextFilesConfig) -> DocumentSource:
    """All texts, or those of a folder for each split; what there is none for is drawn from training, of which a text
    that occurs several times is then taken once. Raises NotFound, and BadInput with every file that is no text."""
    problems = Problems()
    folders = find_split_folders(Path(config.path))
    parts = {name: read_texts(folder, config, problems) for name, folder in folders.items()}
    problems.raise_any("files")
    if len(parts) < len(SPLITS):
        parts["train"] = list(dict.fromkeys(parts["train"]))
    splits = draw_missing(parts, [0] * len(parts["train"]), config)
    for name, texts in splits.items():
        if not texts:
            raise NotFound(
                f"data.path: {config.path} has no texts for {name}; every split needs one or more: give more files, or "
                "cut them by data.separator"
            )
    return DocumentSource(
        {name: MemorySplit(Example(text.encode(), None) for text in texts) for name, texts in splits.items()}
    )


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
    found = find_visible(root, pattern) if root.is_dir() else ()
    return [path for path in found if path.is_file()]


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
