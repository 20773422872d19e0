"""Whether capture can be on, asked before the server starts."""

from __future__ import annotations

from importlib.util import find_spec

from tasks.errors import InvalidRecipe


def check_capture(share: float, folder: str) -> None:
    """Raises InvalidRecipe where something would be captured, and there is no place for it or nothing to write with."""
    if share and not folder:
        raise InvalidRecipe(
            f"configuration: capture_share is {share:g}, and capture_dir is empty: give the folder that captured "
            "pictures and prompts shall go to, or leave capture_share out"
        )
    if share and find_spec("pyarrow") is None:
        raise InvalidRecipe(
            f"configuration: capture_share is {share:g}, and pyarrow, which writes what is captured, is not installed: "
            "pip install 'tidegate[capture]', or leave capture_share out"
        )
