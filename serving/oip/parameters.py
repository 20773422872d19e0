"""The parameters that requests and tensors carry: which ones belong to the protocol, which to the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from serving.deadline import Arrival, Deadline
from tasks.errors import BadInput
from tasks.task import ParamValue

NumBytes = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
RESERVED = frozenset({"sequence_id", "sequence_start", "sequence_end", "priority", "timeout", "headers"})
RESERVED |= {"binary_data_output"}
RESERVED_PREFIX = "triton_"
MAX_TIMEOUT_US = 10**13
"""Some four months: anything longer is a mistake in the unit."""


class InputParameters(msgspec.Struct, frozen=True):
    """Where an input's data is: in the binary part, in a shared memory region, or (neither) in the message itself.

    Names this release does not know are ignored, as other servers do: clients put notes of their own here.
    """

    binary_data_size: NumBytes | None = None
    shared_memory_region: str | None = None
    shared_memory_offset: NumBytes = 0
    shared_memory_byte_size: NumBytes | None = None


class OutputParameters(msgspec.Struct, frozen=True):
    """Where an output shall go, and whether as the `classification` best classes instead of as numbers."""

    binary_data: bool | None = None
    classification: Annotated[int, msgspec.Meta(ge=0)] = 0
    shared_memory_region: str | None = None
    shared_memory_offset: NumBytes = 0
    shared_memory_byte_size: NumBytes | None = None


def task_parameters(parameters: Mapping[str, Any]) -> dict[str, ParamValue]:
    """The request parameters that the protocol leaves to the model. Raises BadInput for one that is not a scalar."""
    chosen = {}
    for name, value in parameters.items():
        if name in RESERVED or name.startswith(RESERVED_PREFIX):
            continue
        if not isinstance(value, str | int | float | bool):
            raise BadInput(f"parameter {name!r} must be a text, a number or a boolean, got {value!r}")
        chosen[name] = value
    return chosen


def deadline_of(parameters: Mapping[str, Any], arrival: Arrival) -> Deadline:
    """The protocol's `timeout`, in microseconds from the request's arrival; 0 = none of its own. Raises BadInput."""
    timeout_us = parameters.get("timeout", 0)
    if isinstance(timeout_us, bool) or not isinstance(timeout_us, int) or not 0 <= timeout_us <= MAX_TIMEOUT_US:
        raise BadInput(f"parameter 'timeout' must be a whole number of microseconds, got {timeout_us!r}")
    return arrival.deadline(timeout_us / 1e6 if timeout_us else None)


def flag(parameters: Mapping[str, Any], name: str) -> bool:
    """A boolean request parameter that is off unless given. Raises BadInput for anything but a boolean."""
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise BadInput(f"parameter {name!r} must be true or false, got {value!r}")
    return value
