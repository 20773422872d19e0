"""The kinds of model that the demo shows: which recipes, and what of an answer fits on one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tasks.task import task_class
from tidegate.demo_material import Material, Pictures, Prompts
from training.recipe import Recipe, load_recipe

Answer = Mapping[str, Any]
"""Output name → array [1, …] of one picture or prompt, as a tensor protocol gives it."""


@dataclass(frozen=True)
class DemoKind:
    """One kind of model. `score`: what training is judged by. `query` keeps the answer short; `summarise` makes a line
    of an answer as tensors. `stream`: a prompt whose answer is to be shown while it is written."""

    recipe_name: str
    export_recipe: str
    score: str
    scored_as: str
    summarise: Callable[[Answer], str]
    material: Material
    query: str = ""
    drawing: str = ""
    stream: str = ""

    @cached_property
    def recipe(self) -> Recipe:
        return load_recipe(self.recipe_name)

    @property
    def model(self) -> str:
        """The name that the recipe registers."""
        return self.recipe.name

    @property
    def verb(self) -> str:
        """The word of the task's endpoint."""
        return str(task_class(self.recipe.task).verb)

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
        recipe_name="digits-quick",
        export_recipe="quick",
        score="val_accuracy",
        scored_as="{:.1%} right on pictures it never saw",
        query="?top_k=2",
        summarise=summarise_classes,
        material=Pictures(),
    ),
    DemoKind(
        recipe_name="scenes-detection-quick",
        export_recipe="detection-quick",
        score="val_ap",
        scored_as="AP {:.2f} on pictures it never saw",
        query="?max_detections=2",
        drawing="?overlay=true",
        summarise=summarise_objects,
        material=Pictures(),
    ),
    DemoKind(
        recipe_name="scenes-segmentation-quick",
        export_recipe="segmentation-quick",
        score="val_miou",
        scored_as="mean IoU {:.2f} on pictures it never saw",
        drawing="?overlay=true",
        summarise=summarise_mask,
        material=Pictures(),
    ),
    DemoKind(
        recipe_name="scenes-captioning-quick",
        export_recipe="captioning-quick",
        score="val_exact_match",
        scored_as="{:.0%} of captions right to the word",
        query="?n=3",
        summarise=summarise_captions,
        material=Pictures(),
    ),
    DemoKind(
        recipe_name="stdlib-llama-quick",
        export_recipe="text_generation-quick",
        score="val_bits_per_byte",
        scored_as="{:.2f} bits per byte of texts it never saw",
        summarise=summarise_text,
        material=Prompts(),
        stream="Return the number of",
    ),
)
