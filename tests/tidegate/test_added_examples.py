"""Adding examples to a champion's data: whoever adds what it has learnt already is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tidegate.added_examples import warn_of_crossing
from training.data.config import FolderConfig
from training.data.digits import encode_png


def test_a_folder_that_holds_another_one_as_well_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(24):
        for folder in ("known", "both") if number < 12 else ("both", "new"):
            target = tmp_path / folder / str(number % 2)
            target.mkdir(parents=True, exist_ok=True)
            shades = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
            (target / f"{number}.png").write_bytes(encode_png(shades))
    known, both, new = (FolderConfig(path=str(tmp_path / name)) for name in ("known", "both", "new"))
    for added in (new, known):
        warn_of_crossing(known, added)
    assert "split" not in capsys.readouterr().err
    warn_of_crossing(known, both)
    assert "of the added examples are in another split of the champion's data" in capsys.readouterr().err
