"""Annotated samples are cut by their use, matched to the model's labels, and refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export.import_samples import digest_samples, load_instances, load_masks
from tasks.errors import BadInput, NotFound
from tests.annotated_folders import paint, write_instances, write_masks

LABELS = ("cat", "dog", "bird")


def test_categories_are_matched_by_name(tmp_path: Path) -> None:
    # The model has a label more, and in an order of its own.
    model_labels = ("fish", "bird", "cat", "dog")
    data = load_instances(write_instances(tmp_path, LABELS, 20), model_labels)
    assert [len(each) for each in (data.calibration, data.held_out, data.spare)] == [4, 14, 2]
    known = {(tmp_path / "images" / f"{n}.png").read_bytes(): paint(n)[2] for n in range(20)}
    for example in (data.held_out[i] for i in range(14)):
        objects = known[example.payload]
        assert [model_labels[i] for i in example.target.class_ids] == [LABELS[class_id] for class_id, _ in objects]
        left, top, width, height = objects[0][1]
        assert example.target.boxes[0].tolist() == [left, top, left + width, top + height]


def test_masks_hold_the_labels_of_the_model(tmp_path: Path) -> None:
    data = load_masks(write_masks(tmp_path, 20), LABELS)
    known = {(tmp_path / "images" / f"{n}.png").read_bytes(): paint(n)[1] for n in range(20)}
    for example in (data.held_out[i] for i in range(len(data.held_out))):
        np.testing.assert_array_equal(example.target.mask(), known[example.payload])


def test_no_picture_is_used_twice(tmp_path: Path) -> None:
    data = load_masks(write_masks(tmp_path, 20), LABELS)
    payloads = [part[i].payload for part in (data.calibration, data.held_out, data.spare) for i in range(len(part))]
    assert len(payloads) == len(set(payloads)) == 20


def test_digest_follows_pictures_and_annotations(tmp_path: Path) -> None:
    folder = write_masks(tmp_path, 20)
    first = digest_samples(load_masks(folder, LABELS))
    assert first == digest_samples(load_masks(folder, LABELS))
    (folder / "masks" / "0.png").write_bytes((folder / "masks" / "1.png").read_bytes())
    assert first != digest_samples(load_masks(folder, LABELS))


def test_samples_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = write_instances(tmp_path / "coco", LABELS, 20)
    with pytest.raises(BadInput, match=r"categories dog are no labels"):
        load_instances(folder, ("cat", "bird"))
    with pytest.raises(BadInput, match=r"0 \.json files"):
        load_instances(tmp_path / "nowhere", LABELS)
    with pytest.raises(NotFound, match="no folder masks"):
        load_masks(folder, LABELS)
    with pytest.raises(BadInput, match="the mask has the values 2"):
        load_masks(write_masks(tmp_path / "masks", 20), LABELS[:2])
