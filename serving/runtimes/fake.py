"""A runtime without a model: for tests of schedulers, where what matters is who waits for whom."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from serving.runtimes.runtime import Binding, DeviceTensor
from serving.runtimes.tensor_check import check_inputs, check_outputs
from tasks.errors import NotReady, Unsupported
from tasks.task import Array, TensorSpec

Compute = Callable[[Mapping[str, Array]], dict[str, Array]]


class FakeRuntime:
    """Runs a plain function instead of a graph and remembers the batch sizes it was given.

    `gate`: while it is cleared, every run waits for it, so that a test decides when the runtime is busy.
    """

    def __init__(self, compute: Compute, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> None:
        self._compute, self._inputs, self._outputs = compute, inputs, outputs
        self.gate = threading.Event()
        self.gate.set()
        self.batch_sizes: list[int] = []
        self.closed = False

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    @property
    def slots(self) -> int:
        return 1

    @property
    def on_cpu(self) -> bool:
        return True

    def allocate(self, spec: TensorSpec) -> DeviceTensor:
        raise Unsupported("the fake runtime has no device")

    def run(
        self,
        inputs: Mapping[str, Array | DeviceTensor],
        outputs: Sequence[str] | Mapping[str, DeviceTensor] | None = None,
    ) -> dict[str, Array]:
        if self.closed:
            raise NotReady("this fake runtime was closed")
        if isinstance(outputs, Mapping):
            raise Unsupported("the fake runtime has no device")
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        wanted = [spec.name for spec in self._outputs] if outputs is None else list(outputs)
        check_inputs(self._inputs, arrays)
        check_outputs(self._outputs, wanted)
        self.batch_sizes.append(len(next(iter(arrays.values()))))
        if not self.gate.wait(timeout=30):
            raise TimeoutError("the test never opened the gate of its fake runtime")
        computed = self._compute(arrays)
        return {name: computed[name] for name in wanted}

    def bind(self, inputs: Mapping[str, DeviceTensor], outputs: Mapping[str, DeviceTensor]) -> Binding:
        raise Unsupported("the fake runtime has no device")

    def close(self) -> None:
        self.closed = True


class FakeRemote(FakeRuntime):
    """The same as a runtime elsewhere, with `num_slots` runs in flight. `expiries`: what it was told of each run."""

    def __init__(
        self, compute: Compute, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], num_slots: int
    ) -> None:
        super().__init__(compute, inputs, outputs)
        self._num_slots = num_slots
        self.expiries: list[float] = []
        self.ailment = ""

    @property
    def slots(self) -> int:
        return self._num_slots

    @property
    def on_cpu(self) -> bool:
        return False

    def run_until(self, inputs: Mapping[str, Array], expires_at: float) -> dict[str, Array]:
        self.expiries.append(expires_at)
        return self.run(inputs)
