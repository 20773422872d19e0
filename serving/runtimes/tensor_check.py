"""Whether what a runtime was handed is what its graph takes; for runtimes that would read memory they do not own, and
for a message that names the tensor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tasks.errors import BadInput
from tasks.task import Array, TensorSpec

DTYPES: Mapping[str, str] = {"bool": "BOOL", "float16": "FP16", "float32": "FP32", "float64": "FP64"} | {
    f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
"""numpy's names → those of the Open Inference Protocol."""


def check_inputs(specs: Sequence[TensorSpec], given: Mapping[str, Array]) -> None:
    """Raises BadInput for a tensor that is missing or unknown, of another type, or of another shape."""
    check_names("input", (spec.name for spec in specs), given, required=True)
    for spec in specs:
        array = np.asarray(given[spec.name])
        if DTYPES.get(array.dtype.name) != spec.dtype:
            raise BadInput(f"input {spec.name!r} is {array.dtype.name}; the graph takes {spec.dtype}")
        if not fits(array.shape, spec.shape):
            raise BadInput(f"input {spec.name!r} has shape {list(array.shape)}; the graph takes {list(spec.shape)}")


def check_outputs(specs: Sequence[TensorSpec], wanted: Iterable[str]) -> None:
    """Raises BadInput for an output that the graph does not have."""
    check_names("output", (spec.name for spec in specs), wanted, required=False)


def check_names(kind: str, known: Iterable[str], given: Iterable[str], required: bool) -> None:
    names, asked = list(known), list(given)
    if unknown := sorted(set(asked) - set(names)):
        raise BadInput(f"the graph has no {kind} {unknown[0]!r}; it has {', '.join(names)}")
    if required and (missing := sorted(set(names) - set(asked))):
        raise BadInput(f"{kind} {missing[0]!r} is missing; the graph takes {', '.join(names)}")


def fits(shape: Sequence[int], pattern: Sequence[int]) -> bool:
    """`pattern`: −1 for any size."""
    return len(shape) == len(pattern) and all(free in (-1, size) for size, free in zip(shape, pattern, strict=True))
