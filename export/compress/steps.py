"""The steps of a variant: all techniques that recipes know, and what must hold of several in a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from export.compress.block_weights import Int4Weights, Int8Dynamic
from export.compress.channel_pruning import ChannelPruning
from export.compress.clustering import Clustering
from export.compress.distillation import Distillation
from export.compress.distilled_tuning import DistilledTuning
from export.compress.entropy_coding import EntropyCoding
from export.compress.half_precision import Bf16, Fp16
from export.compress.int8_static import Int8Static
from export.compress.low_rank import LowRank
from export.compress.magnitude_pruning import MagnitudePruning
from export.compress.quantization_aware import QuantizationAware
from export.compress.semi_structured_pruning import SemiStructuredPruning
from export.compress.technique import GraphTechnique, NetworkTechnique, StorageTechnique, Technique
from registry.manifest import Precision, Requirements
from tasks.errors import InvalidRecipe
from training.recipe import TaskName

AnyTechnique = (
    MagnitudePruning
    | SemiStructuredPruning
    | ChannelPruning
    | LowRank
    | Clustering
    | Distillation
    | DistilledTuning
    | QuantizationAware
    | Int8Static
    | Int8Dynamic
    | Int4Weights
    | Fp16
    | Bf16
    | EntropyCoding
)
Steps = tuple[AnyTechnique, ...]
REDUCED_BITS = 7
"""Of a weight, where int8_static reduces its range."""
STAGES = (NetworkTechnique, GraphTechnique, StorageTechnique)
"""In the order in which steps must stand."""


def check_names(variants: Mapping[str, Any], origin: str) -> None:
    """`variants`: as a file has them, untyped. Raises InvalidRecipe for a technique that there is not, naming all that
    there are; whatever else is wrong is found where types are."""
    known = sorted(str(each.__struct_config__.tag) for each in get_args(AnyTechnique))
    for name, variant in variants.items():
        for step in steps_of(variant):
            if (asked := step.get("technique")) not in known:
                raise InvalidRecipe(
                    f"{origin}: variant {name!r}: no technique {asked!r}: name one of {', '.join(known)}"
                )


def steps_of(variant: Any) -> list[Mapping[str, Any]]:
    """The tables of a variant's steps, as far as there are any."""
    steps = variant.get("steps") if isinstance(variant, Mapping) else None
    return [step for step in steps if isinstance(step, Mapping)] if isinstance(steps, list) else []


def check_steps(steps: Sequence[Technique], origin: str) -> None:
    """Raises InvalidRecipe for steps that can not follow one another."""
    stages = [next(index for index, stage in enumerate(STAGES) if isinstance(step, stage)) for step in steps]
    if stages != sorted(stages):
        raise InvalidRecipe(
            f"{origin}: steps must first change the network, then its graph, then how it is stored; {names(steps)} is "
            "another order"
        )
    reducing = [step for step in steps if step.precision is not None]
    if len(reducing) > 1:
        raise InvalidRecipe(f"{origin}: {names(reducing)} all change the precision; take one of them")
    check_forms(network_steps(steps), origin)
    check_rounding(steps, origin)


def check_forms(steps: Sequence[NetworkTechnique], origin: str) -> None:
    """Raises InvalidRecipe for a step that would undo what one before it has made."""
    for index, step in enumerate(steps):
        for before in steps[:index]:
            if before.makes in step.undoes:
                raise InvalidRecipe(
                    f"{origin}: {name_of(before)} makes {before.makes}, which {name_of(step)} after it would undo; "
                    f"put {name_of(step)} first, or leave one of them out"
                )


def check_rounding(steps: Sequence[Technique], origin: str) -> None:
    """Raises InvalidRecipe where a network learns for other bytes than it gets."""
    aware = next((step for step in steps if isinstance(step, QuantizationAware)), None)
    if aware is None:
        return
    static = next((step for step in steps if isinstance(step, Int8Static)), None)
    if static is None:
        raise InvalidRecipe(
            f"{origin}: quantization_aware makes a network ready for bytes and leaves it in float; let int8_static "
            "follow, or leave it out"
        )
    if static.reduce_range != (aware.weight_bits == REDUCED_BITS):
        raise InvalidRecipe(
            f"{origin}: quantization_aware learns for weights of {aware.weight_bits} bits, and int8_static with "
            f"reduce_range = {str(static.reduce_range).lower()} makes others: 7 belong to true, 8 to false"
        )


def check_sense(steps: Sequence[Technique], task: TaskName, origin: str) -> None:
    """Raises InvalidRecipe where a step makes no sense for models of a task, saying why."""
    for step in steps:
        if obstacle := step.find_obstacle(task):
            raise InvalidRecipe(f"{origin}: {name_of(step)} is not for {task}: {obstacle}")


def network_steps(steps: Sequence[Technique]) -> tuple[NetworkTechnique, ...]:
    return tuple(step for step in steps if isinstance(step, NetworkTechnique))


def graph_steps(steps: Sequence[Technique]) -> tuple[GraphTechnique, ...]:
    return tuple(step for step in steps if isinstance(step, GraphTechnique))


def is_coded(steps: Sequence[Technique]) -> bool:
    """Whether the graph is stored coded in the end."""
    return any(isinstance(step, EntropyCoding) for step in steps)


def precision_of(steps: Sequence[Technique]) -> Precision:
    """What the manifest will say of a variant."""
    return next((step.precision for step in steps if step.precision is not None), "fp32")


def requirements_of(steps: Sequence[Technique]) -> Requirements:
    """What a host must have to run it."""
    return Requirements(
        provider="cuda" if any(step.needs_gpu for step in steps) else "cpu",
        cpu_features=tuple(sorted({feature for step in steps for feature in step.cpu_features})),
    )


def name_of(step: Technique) -> str:
    """As a recipe names it."""
    return str(step.__struct_config__.tag)


def names(steps: Sequence[Technique]) -> str:
    return ", ".join(name_of(step) for step in steps)
