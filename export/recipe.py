"""An export recipe: which variants are built, how much data proves them, and what each may lose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import msgspec

from export.compress.steps import Steps, check_names, check_steps
from export.generative.recipe import GenerativeRecipe
from export.section import Count, Positive, Section, Share
from export.technique_recipe import Extension, check_overrides, extended_name, merge, recipe_of_task
from tasks.detection_spec import SuppressionInside
from tasks.errors import InvalidRecipe
from training.recipe import TaskName
from training.recipe_file import RecipeFolder, RecipeTables, convert_tables

RECIPES = RecipeFolder(Path(__file__).parent / "recipes", "export recipe")


class Tolerances(Section, frozen=True, kw_only=True):
    """What a variant may lose against the trained model. Limits that are not set do not become gates.

    `max_class_drop`: a class misses it only when the whole 95 % interval of its loss lies beyond, so that chance alone
    does not fail an export. `class_drops`: label → its own limit instead of that one. `max_changed_share`: of examples
    that most seeds answer otherwise than the trained model. `max_relative_difference`: of any number of the graph's
    outputs, in standard deviations of that output between pictures (a model that answers everything alike would pass
    an absolute limit).
    """

    min_decision_agreement: Share
    max_metric_drop: Share
    max_calibration_increase: Share
    max_class_drop: Share
    class_drops: dict[str, Share] = msgspec.field(default_factory=dict)
    max_changed_share: Share | None = None
    max_relative_difference: Positive | None = None
    max_num_bytes: Count | None = None
    max_latency_ms: Positive | None = None
    """Median single-thread latency at batch 1 on the exporting host."""

    def class_limit(self, label: str) -> float:
        """What one class may lose."""
        return self.class_drops.get(label, self.max_class_drop)


class VariantConfig(Section, frozen=True, kw_only=True):
    """One variant: the float32 graph where it has no `steps`. With `suppression` a detector's graph ends in non-maximum
    suppression of its own, which nobody can loosen afterwards."""

    steps: Steps = ()
    tolerances: Tolerances
    suppression: SuppressionInside | None = None


class ExportRecipe(Section, frozen=True, kw_only=True):
    """One export. The counts are upper limits: smaller data sets are used whole."""

    description: str = ""
    variants: dict[str, VariantConfig]
    num_calibration: Count = 512
    num_verify: Count = 5_000
    num_profile: Count = 10_000
    num_seeds: Count = 3
    """How often variants with steps that are drawn by chance are made, each time from another seed. The first is the
    one that is packaged; the others only show what such a variant forgets."""
    num_golden: Count = 32
    batch_buckets: tuple[Count, ...] = (1, 2, 4, 8, 16, 32)
    latency_seconds: Positive = 1.0
    """Time spent on measuring each variant at each batch size."""
    opset: Annotated[int, msgspec.Meta(ge=18, le=23)] = 20
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0
    """Decides which examples are drawn."""


AnyRecipe = ExportRecipe | GenerativeRecipe


def load_export_recipe(
    name_or_path: str | Path, overrides: Sequence[str] = (), task: TaskName | None = None
) -> AnyRecipe:
    """A recipe by name or by path to a TOML file, with `section.field=value` overrides (values in TOML).

    One that says `protocol = "generative"` is for models that answer token by token; one that `extends` another takes
    up that of the `task`. Raises InvalidRecipe naming the file and the field.
    """
    return NamedRecipe(name_or_path, overrides).for_task(task)


class NamedRecipe:
    """A recipe that somebody asked for, read before it is known which task it is for. Raises InvalidRecipe as soon as
    something is certainly wrong."""

    def __init__(self, name_or_path: str | Path = "", overrides: Sequence[str] = ()) -> None:
        """Without a name, the recipe of the task; with `extends=quick` among the overrides, the short one."""
        self._name, self._overrides = name_or_path, tuple(overrides)
        if name_or_path:
            facts, origin = read_recipe(name_or_path, overrides)
            if "extends" in facts:
                convert_tables(facts, Extension, origin)
            else:
                typed_recipe(facts, origin)

    def for_task(self, task: TaskName | None) -> AnyRecipe:
        """The recipe for models of a task; None where that must not matter."""
        name, overrides = self._name, self._overrides
        if not name and task is not None:
            name, overrides = recipe_of_task(task, overrides)
        facts, origin = read_recipe(name, overrides)
        if "extends" in facts:
            if task is None:
                raise InvalidRecipe(f"{origin} extends the recipe of a task: it is complete only beside a model")
            check_overrides(overrides, task)
            base, _ = RECIPES.read(extended_name(facts, task, origin), ())
            facts = merge(facts, base, task, origin)
        return typed_recipe(facts, origin)


def read_recipe(name_or_path: str | Path, overrides: Sequence[str]) -> RecipeTables:
    """As it is written. Raises InvalidRecipe, also for techniques that there are not, and for an override `extends` of
    what extends nothing: all that it says would stand."""
    tables = RECIPES.read(name_or_path, overrides)
    if "extends" in tables.facts and "extends" not in RECIPES.read(name_or_path, ()).facts:
        raise InvalidRecipe(
            f"{tables.origin}: that recipe is whole by itself, so extends would change nothing: leave it out, or give "
            "no recipe, then extends=quick takes the short one of the model's task"
        )
    if isinstance(variants := tables.facts.get("variants"), Mapping):
        check_names(variants, tables.origin)
    return tables


def typed_recipe(facts: Mapping[str, Any], origin: str) -> AnyRecipe:
    """Raises InvalidRecipe naming the file and the field."""
    kind: type[AnyRecipe] = GenerativeRecipe if "protocol" in facts else ExportRecipe
    recipe = convert_tables(facts, kind, origin)
    check_recipe(recipe, origin)
    return recipe


def check_recipe(recipe: AnyRecipe, origin: str) -> None:
    """What types alone do not say. Raises InvalidRecipe."""
    if not recipe.variants:
        raise InvalidRecipe(f"{origin}: variants must name at least one variant, for example [variants.fp32]")
    for name, variant in recipe.variants.items():
        if not name.isidentifier():
            raise InvalidRecipe(f"{origin}: variant name {name!r} must be letters, digits and _, as in 'int8'")
        check_steps(variant.steps, f"{origin}: variant {name!r}")
    if isinstance(recipe, GenerativeRecipe):
        check_increasing(recipe.slots, f"{origin}: slots")
        if all(variant.steps for variant in recipe.variants.values()):
            raise InvalidRecipe(
                f"{origin}: one variant must have no steps: it is compared with the trained model token for token"
            )
    else:
        check_increasing(recipe.batch_buckets, f"{origin}: batch_buckets")


def check_increasing(sizes: Sequence[int], what: str) -> None:
    """Raises InvalidRecipe."""
    if not sizes or any(a >= b for a, b in pairwise(sizes)):
        raise InvalidRecipe(f"{what} must increase, as in [1, 4, 16], got {sizes}")
