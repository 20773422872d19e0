"""Pictures and tensors become the graph's input the same way for every task."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import pytest

from tasks.errors import BadInput
from tasks.image import ImageSpec
from tasks.picture_input import PictureInput
from tests.pictures import encode, exif, scene

PICTURES = PictureInput(ImageSpec(height=24, width=32))


@pytest.mark.parametrize(
    "array",
    [np.zeros((24, 32, 3), np.float32), np.zeros((32, 24, 3), np.uint8), np.zeros((1, 24, 32, 3), np.uint8)],
)
def test_a_tensor_of_another_shape_or_type_is_refused(array: np.ndarray) -> None:
    with pytest.raises(BadInput, match=r"expected an image of uint8 \[24, 32, 3\]"):
        PICTURES.sample_from_tensor(array)


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "crop"])
def test_a_tensor_in_the_right_shape_reaches_the_graph_as_it_is(fit: Literal["stretch", "letterbox", "crop"]) -> None:
    pictures = PictureInput(ImageSpec(height=24, width=32, fit=fit))
    array = np.random.default_rng(0).integers(0, 256, (24, 64, 3), np.uint8)[:, ::2]
    sample = pictures.sample_from_tensor(array)
    assert sample.origin == "tensor"
    tensor = pictures.preprocess(sample)["image"]
    np.testing.assert_array_equal(tensor, array)
    assert tensor.flags.c_contiguous


def test_the_same_bytes_give_the_same_tensor_on_every_call_and_thread() -> None:
    payloads = [encode(scene(200 + i, 310 - i), "JPEG", exif=exif(1 + i % 8), quality=70 + i) for i in range(8)]

    def tensor(payload: bytes) -> bytes:
        return PICTURES.preprocess(PICTURES.sample_from_bytes(payload))["image"].tobytes()

    alone = [tensor(payload) for payload in payloads]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(tensor, payloads * 6))
    assert together == alone * 6
    assert len(set(alone)) == len(alone)
