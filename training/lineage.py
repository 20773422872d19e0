"""Where a model comes from: the code and the libraries that made it."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

LIBRARIES = (
    "torch",
    "lightning",
    "transformers",
    "numpy",
    "pillow",
    "scikit-learn",
    "scikit-image",
    "safetensors",
    "tokenizers",
)


def git_commit() -> str:
    """The commit of this checkout, with "-dirty" where files differ from it; empty outside a repository."""
    here = Path(__file__).parent
    try:
        commit = run_git(here, "rev-parse", "HEAD")
        changed = run_git(here, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{commit}-dirty" if changed else commit


def run_git(folder: Path, *arguments: str) -> str:
    """What git prints."""
    result = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=True, text=True)
    return result.stdout.strip()


def library_versions() -> dict[str, str]:
    """Versions of everything that can change a weight or a pixel."""
    return {name: version(name) for name in LIBRARIES}
