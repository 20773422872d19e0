"""A prediction as capture keeps it: all of it but the pixels of a mask."""

from __future__ import annotations

import msgspec

from tasks.segmentation import SegmentationPrediction
from tasks.task import Prediction


def summary_of(prediction: Prediction) -> str:
    """JSON."""
    if isinstance(prediction, SegmentationPrediction):
        segments = tuple(msgspec.structs.replace(one, rle=None, polygons=None) for one in prediction.segments)
        prediction = msgspec.structs.replace(prediction, segments=segments, png=None)
    return msgspec.json.encode(prediction).decode()
