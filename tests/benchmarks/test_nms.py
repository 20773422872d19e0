"""The suppression benchmark compares like with like: its crowd is one, and its contenders answer the same question."""

from __future__ import annotations

import pytest

from benchmarks.nms import MAX_DETECTIONS, NUM_CANDIDATES, NUM_CLASSES, OURS, crowd_of, open_contenders


@pytest.fixture(scope="module")
def contenders():
    return open_contenders()


@pytest.mark.parametrize(("num_objects", "least"), [(10, 100), (60, 1000)])
def test_a_crowd_has_many_more_candidates_than_objects(num_objects, least):
    crowd = crowd_of(num_objects)
    assert crowd.boxes.shape == (NUM_CANDIDATES, 4)
    assert crowd.scores.shape == (NUM_CANDIDATES, NUM_CLASSES)
    assert (crowd.boxes[:, :2] < crowd.boxes[:, 2:]).all()
    assert least < crowd.num_pairs < 5 * least


@pytest.mark.parametrize("num_objects", [0, 10, 60])
@pytest.mark.parametrize("name", ["plain Python loop", "ONNX Runtime, NonMaxSuppression"])
def test_the_peers_keep_what_ours_keeps(contenders, name, num_objects):
    crowd = crowd_of(num_objects, seed=1)
    kept = contenders[name](crowd)
    assert kept == contenders[OURS](crowd)
    assert min(1, num_objects) <= len(kept) <= MAX_DETECTIONS
