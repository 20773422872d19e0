"""What can be said about the threads that compute."""

from __future__ import annotations

from typing import Literal

Between = Literal["sleep", "spin"]
"""What they do between two operators of a run: give their cores to whoever wants them, or keep these and be there at
once."""
