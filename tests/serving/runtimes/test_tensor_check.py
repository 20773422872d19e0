from __future__ import annotations

import numpy as np
import pytest

from serving.runtimes.tensor_check import check_inputs, check_outputs
from tasks.errors import BadInput
from tasks.task import TensorSpec

SPECS = (TensorSpec(name="image", dtype="UINT8", shape=(-1, 4, 3)), TensorSpec(name="scale", dtype="FP16", shape=(1,)))
SCALE = np.ones(1, np.float16)


def test_what_fits_is_taken() -> None:
    for rows in (0, 1, 7):
        check_inputs(SPECS, {"image": np.zeros((rows, 4, 3), np.uint8), "scale": SCALE})


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"scale": SCALE}, "input 'image' is missing; the graph takes image, scale"),
        ({"image": np.zeros((1, 4, 3), np.uint8), "scale": SCALE, "x": SCALE}, "no input 'x'; it has image, scale"),
        ({"image": np.zeros((1, 4, 3), np.int8), "scale": SCALE}, "'image' is int8; the graph takes UINT8"),
        ({"image": np.zeros((1, 4, 3), np.complex64), "scale": SCALE}, "'image' is complex64"),
        ({"image": np.zeros((1, 4), np.uint8), "scale": SCALE}, r"shape \[1, 4\]; the graph takes \[-1, 4, 3\]"),
        ({"image": np.zeros((1, 5, 3), np.uint8), "scale": SCALE}, r"shape \[1, 5, 3\]"),
    ],
)
def test_what_does_not_fit_is_named(given: dict[str, np.ndarray], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        check_inputs(SPECS, given)


def test_outputs_are_asked_for_by_their_names() -> None:
    check_outputs(SPECS, ["scale"])
    check_outputs(SPECS, [])
    with pytest.raises(BadInput, match="no output 'logits'; it has image, scale"):
        check_outputs(SPECS, ["scale", "logits"])
