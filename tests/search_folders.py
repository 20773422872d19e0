"""Where a search writes, and the files in which it is asked for."""

from __future__ import annotations

from pathlib import Path

from training.search.search import Ledger


def ledger_in(workdir: Path) -> Ledger:
    """With a database of its own in the folder."""
    return Ledger(workdir=workdir, tracking_uri=f"sqlite:///{workdir}/mlflow.db")


def write_toml(folder: Path, text: str, name: str = "space") -> str:
    """A space to search, or a recipe: its path, as the command line takes it."""
    path = folder / f"{name}.toml"
    path.write_text(text)
    return str(path)
