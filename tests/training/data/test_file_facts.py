from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import BadInput
from training.data import file_facts
from training.data.digits import encode_png
from training.data.file_facts import measure_masks, measure_pictures, read_mask
from training.data.problems import Problems


def complaints(problems: Problems) -> str:
    with pytest.raises(BadInput) as caught:
        problems.raise_any("some")
    return str(caught.value)


def jpeg(width: int, height: int, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, "JPEG", exif=exif)
    return stream.getvalue()


def test_sizes_are_those_of_the_upright_picture(tmp_path: Path) -> None:
    (tmp_path / "turned.jpg").write_bytes(jpeg(30, 20, 6))
    problems = Problems()
    (facts,) = measure_pictures([tmp_path / "turned.jpg"], problems)
    assert (facts.width, facts.height) == (20, 30)
    problems.raise_any("some")


def test_missing_and_damaged_pictures_are_all_reported(tmp_path: Path) -> None:
    whole = jpeg(64, 64, 1)
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("no picture")
    problems = Problems()
    measure_pictures([tmp_path / "cut.jpg", tmp_path / "text.jpg", tmp_path / "gone.jpg"], problems)
    message = complaints(problems)
    assert all(f"{name}.jpg:" in message for name in ("cut", "text", "gone"))


def test_a_file_is_decoded_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode_png(np.zeros((4, 6), np.uint8)))
    first = measure_pictures([path], Problems())
    with monkeypatch.context() as patch:
        patch.setattr(file_facts, "measure_picture", None)
        assert measure_pictures([path], Problems()) == first
    path.write_bytes(encode_png(np.zeros((40, 60), np.uint8)))
    assert measure_pictures([path], Problems())[0].height == 40


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_a_mask_holds_indices_whatever_its_mode(tmp_path: Path, mode: str) -> None:
    indices = np.array([[0, 1], [1, 0]], np.uint8)
    picture = Image.fromarray(indices * 255).convert("1") if mode == "1" else Image.fromarray(indices)
    if mode == "P":
        picture = picture.copy()
        picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.save(tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png"), indices)
    (facts,) = measure_masks([tmp_path / "mask.png"], Problems())
    assert facts.values == (0, 1)


def test_masks_that_cannot_be_indices_are_reported(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "colours.png")
    Image.new("L", (2, 2)).save(tmp_path / "lossy.jpg")
    whole = encode_png(np.random.default_rng(0).integers(0, 9, (50, 50), np.uint8))
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    problems = Problems()
    names = ("colours.png", "lossy.jpg", "cut.png", "gone.png")
    measure_masks([tmp_path / name for name in names], problems)
    message = complaints(problems)
    assert all(f"{name}:" in message for name in names)
    assert "mode RGB" in message
