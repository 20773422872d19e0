"""The Runtime protocol: what executes a graph, and all that the schedulers know about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from tasks.task import Array, TensorSpec


class DeviceTensor(Protocol):
    """A tensor that lives where the graph runs and stays there between runs (what a KV cache needs)."""

    @property
    def spec(self) -> TensorSpec: ...

    def to_numpy(self) -> Array:
        """A copy on the host."""
        ...

    def rows(self, start: int, stop: int) -> DeviceTensor:
        """These rows of the first axis, in the same memory."""
        ...


class Binding(Protocol):
    """Device tensors bound to a graph once, for many runs that differ in everything else. Used by one thread."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The inputs that are not bound → the outputs that are not bound."""
        ...


class Runtime(Protocol):
    """Executes one graph. `run` blocks and may be called from `slots` threads at once.

    A runtime that can not honour its provider or precision raises when it is built: never a silent fallback.
    """

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def slots(self) -> int: ...

    @property
    def on_cpu(self) -> bool:
        """Does a run take this host's cores from whatever else there is to do?"""
        ...

    def allocate(self, spec: TensorSpec) -> DeviceTensor:
        """A zero-filled tensor with fixed sizes on the runtime's device."""
        ...

    def run(
        self,
        inputs: Mapping[str, Array | DeviceTensor],
        outputs: Sequence[str] | Mapping[str, DeviceTensor] | None = None,
    ) -> dict[str, Array]:
        """Input name → tensor [batch, …]. `outputs`: names to return (None: all), or device tensors to write into,
        which may be the same object as an input and are not returned."""
        ...

    def bind(self, inputs: Mapping[str, DeviceTensor], outputs: Mapping[str, DeviceTensor]) -> Binding:
        """Inputs and outputs by name; an output may write over the very memory that an input reads."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class RemoteRuntime(Runtime, Protocol):
    """Executes its graph in another process, which puts batches together itself, goes away and comes back. It may be
    closed while runs are under way: these hold what they need until they are over."""

    @property
    def ailment(self) -> str:
        """Why it can not answer, as it seemed at the last look; empty when it can."""
        ...

    def run_until(self, inputs: Mapping[str, Array], expires_at: float) -> dict[str, Array]:
        """As `run`; the other side need not begin with it after `expires_at` (seconds of `time.monotonic`; infinity =
        it may take its time). Raises DeadlineExceeded, Overloaded, or NotReady."""
        ...
