from __future__ import annotations

import numpy as np
import pytest

from serving.challenger.copies import PictureCopy, PromptCopy, TensorCopy
from tasks.generation import Generated, Prompt
from tasks.generation_params import GenerationParams
from tasks.image import Placement
from tasks.task import Params, Sample

BATCH = np.zeros((8, 100), np.float32)


@pytest.mark.parametrize(
    ("array", "num_bytes"),
    [(BATCH, 3200), (BATCH[0], 3200), (BATCH[2:4, :10], 3200), (np.frombuffer(bytes(64), np.uint8)[:32], 64)],
)
def test_what_a_view_keeps_alive_counts(array: np.ndarray, num_bytes: int) -> None:
    copy = TensorCopy({"image": array}, {}, 0.1)
    assert (copy.num_bytes, copy.num_items) == (num_bytes, len(array))


def test_a_picture_counts_with_what_was_made_of_it() -> None:
    sample = Sample(np.zeros((4, 5, 3), np.uint8), Placement(4, 5, 1.0, 1.0, 0.0, 0.0))
    copy = PictureCopy(b"encoded", Params(), sample, {"logits": BATCH[1]}, 0.1)
    assert (copy.num_bytes, copy.num_items) == (7 + 60 + 3200, 1)


def test_a_prompt_counts_with_its_picture() -> None:
    answer = Generated((1, 2), "ab", "stop", (0.0, 0.0))
    copy = PromptCopy(Prompt((1, 2, 3)), GenerationParams(), b"encoded", answer, 0.1)
    assert copy.num_bytes > 7
    assert copy.num_items == 1
