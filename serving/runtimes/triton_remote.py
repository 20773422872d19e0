"""A graph that a Triton server runs, for those who outgrow one machine: pictures are decoded, judged and watched here,
and Triton batches on its own devices.

Which version of the model it is there follows from the package: every version says in its configuration what it was
made from (`triton_origin`), and one that was made from anything else is not served. A look each second finds out
whether that still holds, so a Triton that was away is used again as soon as it is back, and one that came back with
something else is not.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tritonclient.grpc.service_pb2 import ModelInferRequest

from serving.runtimes.onnx_runtime import NUMPY_TYPES
from serving.runtimes.runtime import Binding, DeviceTensor
from serving.runtimes.tensor_check import check_inputs, check_outputs
from serving.runtimes.triton_client import SlowTriton, TritonClient
from serving.runtimes.triton_memory import Inputs
from serving.runtimes.triton_origin import Origin, read_origins
from tasks.errors import NotReady, TidegateError, Unsupported
from tasks.task import Array, TensorSpec

LOOK_INTERVAL_S = 1.0
log = logging.getLogger(__name__)


class TritonRemote:
    """One version of one model on Triton, with `slots` requests in flight."""

    def __init__(self, client: TritonClient, inputs: Inputs, model: str, origin: Origin, slots: int) -> None:
        """Raises NotReady where Triton does not answer, or has the model from elsewhere than `origin`."""
        self._client, self._placing, self._model, self._origin, self._slots = client, inputs, model, origin, slots
        self._version = self._find_version()
        self._inputs, self._outputs = client.tensors(model, self._version)
        self._datatypes = {spec.name: spec.dtype for spec in self._inputs}
        self._names = [spec.name for spec in self._outputs]
        self._ailment, self._is_slow = "", False
        self._look_now, self._closed = threading.Event(), False
        self._counting = threading.Lock()
        self._num_users = 1
        """Its owner, and every request in flight: the connection is closed by the last of them."""
        self._watcher = threading.Thread(target=self._watch, name=f"triton-{model}", daemon=True)
        self._watcher.start()

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def on_cpu(self) -> bool:
        return False

    @property
    def ailment(self) -> str:
        return self._ailment

    def allocate(self, spec: TensorSpec) -> DeviceTensor:
        raise Unsupported("Triton keeps no tensors between two requests; it serves stages that are batched, no others")

    def bind(self, inputs: Mapping[str, DeviceTensor], outputs: Mapping[str, DeviceTensor]) -> Binding:
        raise Unsupported("Triton keeps no tensors between two requests; it serves stages that are batched, no others")

    def run(
        self,
        inputs: Mapping[str, Array | DeviceTensor],
        outputs: Sequence[str] | Mapping[str, DeviceTensor] | None = None,
    ) -> dict[str, Array]:
        if isinstance(outputs, Mapping) or not all(isinstance(value, np.ndarray) for value in inputs.values()):
            raise Unsupported("tensors reach Triton and come back by value; there are none on its device")
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        return self._infer(arrays, self._names if outputs is None else outputs, math.inf)

    def run_until(self, inputs: Mapping[str, Array], expires_at: float) -> dict[str, Array]:
        return self._infer(inputs, self._names, expires_at)

    def close(self) -> None:
        """No more requests; what is in flight may finish."""
        with self._counting:
            if self._closed:
                return
            self._closed = True
        self._look_now.set()
        self._watcher.join()
        self._leave()

    def _infer(self, inputs: Mapping[str, Array], outputs: Sequence[str], expires_at: float) -> dict[str, Array]:
        self._enter()
        try:
            check_inputs(self._inputs, inputs)
            check_outputs(self._outputs, outputs)
            return self._ask(inputs, outputs, expires_at)
        finally:
            self._leave()

    def _ask(self, inputs: Mapping[str, Array], outputs: Sequence[str], expires_at: float) -> dict[str, Array]:
        request = ModelInferRequest(model_name=self._model, model_version=self._version)
        for name in outputs:
            request.outputs.add(name=name)
        try:
            with self._placing.placed(request, {name: (self._datatypes[name], inputs[name]) for name in inputs}):
                response = self._client.infer(request, expires_at)
        except NotReady:
            # It may be another Triton from now on, or none.
            self._placing.forget()
            self._look_now.set()
            raise
        return read_outputs(response, outputs)

    def _enter(self) -> None:
        """Raises NotReady where nobody is let in."""
        with self._counting:
            if self._closed:
                raise NotReady("the connection to Triton was closed")
            if self._ailment:
                raise NotReady(self._ailment)
            self._num_users += 1

    def _leave(self) -> None:
        with self._counting:
            self._num_users -= 1
            if self._num_users:
                return
        self._placing.close()
        self._client.close()

    def _watch(self) -> None:
        while not self._closed:
            self._look_now.wait(LOOK_INTERVAL_S)
            self._look_now.clear()
            if not self._closed:
                self._look()

    def _look(self) -> None:
        """Is it there, and still what it was?"""
        ailment, was_slow = "", self._is_slow
        self._is_slow = False
        try:
            self._version = self._find_version()
        except SlowTriton as error:
            self._is_slow = True
            if not was_slow:
                return  # a host that is busy may be slow once; one that is away is so again
            ailment = str(error)
        except TidegateError as error:
            ailment = str(error)
        if ailment != self._ailment:
            self._placing.forget()
            level = logging.WARNING if ailment else logging.INFO
            log.log(level, "%s on Triton at %s: %s", self._model, self._client.url, ailment or "ready")
        self._ailment = ailment

    def _find_version(self) -> str:
        """The number there of what was made from this package. Raises NotReady."""
        loaded = self._client.versions(self._model)
        origins = read_origins(self._client.parameters(self._model))
        for version in loaded:
            if origins.get(version) == self._origin and self._client.is_ready(self._model, version):
                return version
        there = ", ".join(f"{version} ({origins.get(version, 'no export of ours')})" for version in loaded) or "none"
        raise NotReady(
            f"Triton runs no version of {self._model!r} made from {self._origin}; it has {there}. Write this one into "
            "its repository with tidegate export --triton"
        )


def read_outputs(response: Any, names: Sequence[str]) -> dict[str, Array]:
    """ModelInferResponse → these arrays, in this order. Raises NotReady for an answer without one or its bytes."""
    answered = {
        output.name: np.frombuffer(data, NUMPY_TYPES[output.datatype]).reshape(tuple(output.shape)).copy()
        for output, data in zip(response.outputs, response.raw_output_contents, strict=False)
    }
    if missing := [name for name in names if name not in answered]:
        raise NotReady(f"Triton answered without output {missing[0]!r}, or without its bytes")
    return {name: answered[name] for name in names}
