"""The kinds of model that the demo shows: which recipes, and what of an answer fits on one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.demo_material import Material, Pictures, Prompts

Answer = Mapping[str, Any]
"""Output name → array [1, …] of one picture or prompt, as a tensor protocol gives it."""


@dataclass(frozen=True)
class DemoKind:
    """One kind of model. `model`: the name that its recipe registers. `score`: what training is judged by. `query`
    keeps the answer short; `summarise` makes a line of an answer as tensors. `stream`: a prompt whose answer is to be
    shown while it is written."""

    model: str
    recipe: str
    export_recipe: str
    verb: str
    score: str
    scored_as: str
    summarise: Callable[[Answer], str]
    material: Material
    query: str = ""
    drawing: str = ""
    stream: str = ""

    @property
    def path(self) -> str:
        """The task's endpoint."""
        return f"/v1/models/{self.model}/{self.verb}"


def summarise_classes(answer: Answer) -> str:
    return f"{answer['labels'][0, 0].decode()} with {answer['scores'][0, 0]:.1%}"


def summarise_objects(answer: Answer) -> str:
    count = int(answer["num_detections"].flat[0])
    found = zip(answer["detection_labels"][0, :count], answer["detection_scores"][0, :count], strict=True)
    return f"{count} objects: " + ", ".join(f"{label.decode()} with {score:.0%}" for label, score in found)


def summarise_mask(answer: Answer) -> str:
    shares = answer["class_shares"][0]
    return f"{int((shares[1:] > 0).sum())} classes on {shares[1:].sum():.1%} of the picture"


def summarise_captions(answer: Answer) -> str:
    return str(answer["caption"].flat[0].decode())


def summarise_text(answer: Answer) -> str:
    return repr(answer["text_output"].flat[0].decode())


KINDS = (
    DemoKind(
        model="digits",
        recipe="digits-quick",
        export_recipe="quick",
        verb="classify",
        score="val_accuracy",
        scored_as="{:.1%} right on pictures it never saw",
        query="?top_k=2",
        summarise=summarise_classes,
        material=Pictures(),
    ),
    DemoKind(
        model="scenes-detection",
        recipe="scenes-detection-quick",
        export_recipe="detection-quick",
        verb="detect",
        score="val_ap",
        scored_as="AP {:.2f} on pictures it never saw",
        query="?max_detections=2",
        drawing="?overlay=true",
        summarise=summarise_objects,
        material=Pictures(),
    ),
    DemoKind(
        model="scenes-segmentation",
        recipe="scenes-segmentation-quick",
        export_recipe="segmentation-quick",
        verb="segment",
        score="val_miou",
        scored_as="mean IoU {:.2f} on pictures it never saw",
        drawing="?overlay=true",
        summarise=summarise_mask,
        material=Pictures(),
    ),
    DemoKind(
        model="scenes-captioning",
        recipe="scenes-captioning-quick",
        export_recipe="captioning-quick",
        verb="caption",
        score="val_exact_match",
        scored_as="{:.0%} of captions right to the word",
        query="?n=3",
        summarise=summarise_captions,
        material=Pictures(),
    ),
    DemoKind(
        model="stdlib-llama",
        recipe="stdlib-llama-quick",
        export_recipe="text_generation-quick",
        verb="generate",
        score="val_bits_per_byte",
        scored_as="{:.2f} bits per byte of texts it never saw",
        summarise=summarise_text,
        material=Prompts(),
        stream="Return the number of",
    ),
)
