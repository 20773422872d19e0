"""What a trained segmenter is worth on data it has not learnt from, in the pixels of the original pictures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.image import Placement, place_image
from tasks.rle import decode_labels
from tasks.segmentation import Segmentation, SegmentationParams
from tasks.task import Array, Sample
from training.data.annotation import Annotation
from training.data.pixels import PixelDataset
from training.data.source import Split
from training.networks.segmenter import Segmenter
from training.progress import track
from training.segmentation.mask_metrics import MaskMetrics

BATCH_SIZE = 64
Mask = NDArray[np.uint8]


def measure(network: Segmenter, task: Segmentation, split: Split, pixels: PixelDataset) -> MaskMetrics:
    """Adds up a whole split; `pixels` are its pictures as the network sees them."""
    metrics = MaskMetrics(len(task.labels))
    for (image, outputs), target in zip(run_network(network, pixels), split.targets, strict=True):
        assert isinstance(target, Annotation)
        true = target.mask()
        height, width = true.shape
        metrics.add(answer_mask(task, image, outputs, place_image(height, width, task.image_spec)), true)
    return metrics


def run_network(network: Segmenter, pixels: PixelDataset) -> Iterator[tuple[Mask, dict[str, Array]]]:
    """Every picture of a data set in order, and what the network says of it, on the device where the network is."""
    device = next(network.parameters()).device
    loader = torch.utils.data.DataLoader(
        pixels, batch_size=BATCH_SIZE, collate_fn=lambda batch: batch, num_workers=pixels.num_workers
    )
    network.eval()
    with torch.inference_mode():
        for images, _ in track(loader, "evaluating", len(loader)):
            outputs = [tensor.cpu().numpy() for tensor in network(images.to(device))]
            for image, *item in zip(images.numpy(), *outputs, strict=True):
                yield image, dict(zip(network.output_names, item, strict=True))


def answer_mask(task: Segmentation, image: Mask, outputs: dict[str, Array], placement: Placement) -> Mask:
    """The mask that a client would be answered, at the size of the original."""
    prediction = task.decode_output(outputs, Sample(image, placement), SegmentationParams())
    return decode_labels({segment.class_id: segment.rle for segment in prediction.segments if segment.rle is not None})
