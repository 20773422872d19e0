"""A recipe that extends another: a technique for models of every task, with what each protocol may lose by it."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any, Literal

import msgspec

from export.compress.steps import Steps, check_sense
from export.section import Section
from tasks.errors import InvalidRecipe
from tasks.task import is_generative
from training.recipe import TaskName
from training.recipe_file import apply_override, convert_tables

EXTENDED: Mapping[str, Mapping[TaskName, str]] = {
    "task": {
        "classification": "classification",
        "detection": "detection",
        "segmentation": "segmentation",
        "captioning": "captioning",
        "text_generation": "text_generation",
    },
    "quick": {
        "classification": "quick",
        "detection": "detection-quick",
        "segmentation": "segmentation-quick",
        "captioning": "captioning-quick",
        "text_generation": "text_generation-quick",
    },
}
"""`extends` → task → the recipe that is meant."""


class TechniqueVariant(Section, frozen=True, kw_only=True):
    """`tolerances` of models that answer at once, `generative_tolerances` of those that answer token by token: as in
    the recipes of either protocol. Without them the variant is not for such models. One that the other recipe has too
    is changed in these alone."""

    steps: Steps = ()
    tolerances: dict[str, Any] | None = None
    generative_tolerances: dict[str, Any] | None = None


class Extension(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a file that is checked before the task is known; its other fields are those of the other recipe."""

    extends: Literal["task", "quick"]
    variants: dict[str, TechniqueVariant]


def extended_name(facts: Mapping[str, Any], task: TaskName, origin: str) -> str:
    """The recipe that a file extends for models of a task. Raises InvalidRecipe."""
    return EXTENDED[convert_tables(facts, Extension, origin).extends][task]


def recipe_of_task(task: TaskName, overrides: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Where no recipe is named: that of the task, or the one that an override `extends` means for it; and the other
    overrides. Raises InvalidRecipe."""
    facts: dict[str, Any] = {"extends": "task", "variants": {}}
    asked = [override for override in overrides if override.partition("=")[0].strip() == "extends"]
    for override in asked:
        apply_override(facts, override)
    others = tuple(override for override in overrides if override not in asked)
    return extended_name(facts, task, f"the recipe of {task} with {', '.join(asked)}"), others


def merge(facts: Mapping[str, Any], base: Mapping[str, Any], task: TaskName, origin: str) -> dict[str, Any]:
    """The whole recipe, untyped: `base` with what the file changes, its float32 variant and those of the file.

    Raises InvalidRecipe where the file has nothing for models of this task."""
    extension, field = convert_tables(facts, Extension, origin), tolerances_field(task)
    variants = {name: each for name, each in base["variants"].items() if is_plain(each)}
    check_extension(extension.variants, variants, origin)
    asked = {name: getattr(each, field) for name, each in extension.variants.items()}
    given = {name: tolerances for name, tolerances in asked.items() if tolerances is not None}
    meant = given.keys() - variants.keys()
    for name, tolerances in given.items():
        own = {"steps": msgspec.to_builtins(extension.variants[name].steps), "tolerances": {}}
        known = variants.get(name, own)
        variants[name] = {**known, "tolerances": {**known["tolerances"], **tolerances}}
    if not meant:
        # Where a technique itself knows why, that is worth more than what the file lacks.
        for variant in extension.variants.values():
            check_sense(variant.steps, task, origin)
        raise InvalidRecipe(f"{origin}: none of its variants has {field}, so it is not for models of {task}")
    changed = {name: value for name, value in facts.items() if name not in ("extends", "variants")}
    return {**base, **changed, "variants": variants}


def tolerances_field(task: TaskName) -> str:
    """Where a file says what models of a task may lose."""
    return "generative_tolerances" if is_generative(task) else "tolerances"


def check_overrides(overrides: Sequence[str], task: TaskName) -> None:
    """Raises InvalidRecipe for a limit that is of models of the other protocol: it would change nothing."""
    field = tolerances_field(task)
    other = {"tolerances", "generative_tolerances"} - {field}
    for override in overrides:
        parts = override.partition("=")[0].strip().split(".")
        if parts[0] == "variants" and other & set(parts[2:3]):
            meant = ".".join([*parts[:2], field, *parts[3:]])
            raise InvalidRecipe(f"override {override!r}: what models of {task} may lose is in {meant}")


def check_extension(own: Mapping[str, TechniqueVariant], plain: Container[str], origin: str) -> None:
    """Raises InvalidRecipe for what would be passed over without a word. `plain`: the float32 variants that there are
    anyway."""
    for name, variant in own.items():
        if variant.steps and name in plain:
            raise InvalidRecipe(
                f"{origin}: variant {name!r} is the float32 graph that all others stand beside, and takes no steps; "
                "give yours another name"
            )
        if variant.tolerances is None and variant.generative_tolerances is None:
            raise InvalidRecipe(
                f"{origin}: variant {name!r} has neither tolerances nor generative_tolerances, so it is for no model "
                "at all: say what it may lose"
            )


def is_plain(variant: Mapping[str, Any]) -> bool:
    """The float32 graph itself?"""
    return not variant.get("steps") and "suppression" not in variant
