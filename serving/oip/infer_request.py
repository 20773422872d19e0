"""One inference in the words of no protocol: what HTTP and gRPC translate to and from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serving.deadline import Deadline
from tasks.errors import BadInput
from tasks.task import Array, ParamValue

ENCODED_INPUT = "encoded_image"
MAX_TENSORS = 256
"""Inputs, and outputs, of one request. Each costs some microseconds of the event loop, and a body may name millions."""


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """`num_classes` > 0: the classification extension, that many classes as BYTES instead of the numbers."""

    name: str
    num_classes: int = 0


@dataclass(frozen=True, slots=True)
class InferRequest:
    """Inputs with their batch axis. `outputs`: the wanted ones in order; none means all. `params`: the task's own."""

    inputs: Mapping[str, Array]
    outputs: Sequence[WantedOutput]
    params: Mapping[str, ParamValue]
    deadline: Deadline
    id: str = ""


@dataclass(frozen=True, slots=True)
class InferResponse:
    """Outputs in the order asked for, with their batch axis."""

    model_name: str
    model_version: str
    id: str
    outputs: Mapping[str, Array]


def check_num_tensors(num_inputs: int, num_outputs: int) -> None:
    """To be called before any of them is looked at. Raises BadInput."""
    if max(num_inputs, num_outputs) > MAX_TENSORS:
        raise BadInput(
            f"the request has {num_inputs} inputs and {num_outputs} outputs; at most {MAX_TENSORS} each are accepted"
        )


def wanted_names(outputs: Sequence[WantedOutput], offered: Sequence[str], occasion: str) -> list[str]:
    """The names asked for, or all that are offered. Raises BadInput for an unknown or repeated one."""
    names = [wanted.name for wanted in outputs]
    for name in names:
        if name not in offered:
            raise BadInput(f"there is no output {name!r} for {occasion}; there are {', '.join(offered)}")
    if len(set(names)) != len(names):
        raise BadInput(f"outputs {', '.join(names)}: ask for each one once")
    return names or list(offered)
