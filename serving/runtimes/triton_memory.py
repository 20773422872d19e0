"""How input tensors reach Triton: in the message, or through memory of this machine that both see.

Only inputs go through memory. A request that was given up may still be worked on there: what it then reads is of no
consequence, while an answer that it wrote would land among those of the next request.
"""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, Protocol

import numpy as np

from serving.runtimes.triton_client import TritonClient
from tasks.errors import NotReady, TidegateError
from tasks.task import Array

FOLDER = "/dev/shm"
ALIGNMENT = 64
MIN_BYTES = 2**16


class Inputs(Protocol):
    """Any thread may use it."""

    def placed(self, request: Any, inputs: Mapping[str, tuple[str, Array]]) -> Any:
        """A context in which the ModelInferRequest carries these tensors. `inputs`: name → datatype, array."""
        ...

    def forget(self) -> None:
        """Triton may have been started anew: nothing that it was told before holds."""
        ...

    def close(self) -> None: ...


class MessageInputs:
    """Tensors travel in the message."""

    @contextmanager
    def placed(self, request: Any, inputs: Mapping[str, tuple[str, Array]]) -> Iterator[None]:
        for name, (datatype, array) in inputs.items():
            request.inputs.add(name=name, datatype=datatype, shape=array.shape)
            request.raw_input_contents.append(array.tobytes())
        yield

    def forget(self) -> None:
        """It was told nothing."""

    def close(self) -> None:
        """There is nothing to free."""


class SharedInputs:
    """Tensors lie in a region of shared memory, one for each request in flight, that grows with what it must hold."""

    def __init__(self, client: TritonClient, num_regions: int) -> None:
        self._client, self._num_regions = client, num_regions
        self._epoch = 0
        self._free: SimpleQueue[Region] = SimpleQueue()
        for _ in range(num_regions):
            self._free.put(Region(client))

    @contextmanager
    def placed(self, request: Any, inputs: Mapping[str, tuple[str, Array]]) -> Iterator[None]:
        """Raises NotReady where Triton can not open the memory of this machine."""
        region = self._free.get()
        try:
            region.make_room(sum(aligned(array.nbytes) for _, array in inputs.values()), self._epoch)
            start = 0
            for name, (datatype, array) in inputs.items():
                tensor = request.inputs.add(name=name, datatype=datatype, shape=array.shape)
                tensor.parameters["shared_memory_region"].string_param = region.name
                tensor.parameters["shared_memory_byte_size"].int64_param = array.nbytes
                if start:
                    tensor.parameters["shared_memory_offset"].int64_param = start
                region.write(start, array)
                start += aligned(array.nbytes)
            yield
        finally:
            self._free.put(region)

    def forget(self) -> None:
        self._epoch += 1

    def close(self) -> None:
        regions = [self._free.get() for _ in range(self._num_regions)]
        with suppress(TidegateError):  # a Triton that does not answer for one region is not asked for each of the rest
            for region in regions:
                region.withdraw()
        for region in regions:
            region.free()


class Region:
    """Shared memory that Triton has open; the system frees it with the last of the two processes that use it."""

    def __init__(self, client: TritonClient) -> None:
        self._client = client
        self._memory: mmap.mmap | None = None
        self._epoch = 0
        self.name = ""

    def make_room(self, num_bytes: int, epoch: int) -> None:
        """At least so many bytes, known to the Triton of this epoch. Raises NotReady."""
        if self._memory is not None and self._epoch == epoch and len(self._memory) >= num_bytes:
            return
        with suppress(TidegateError):  # a Triton that is away, or another by now, has nothing to give back
            self.withdraw()
        self.free()
        size = max(MIN_BYTES, 1 << (num_bytes - 1).bit_length())
        name = f"tidegate-{secrets.token_hex(12)}"
        with new_memory(name, size) as memory:
            try:
                self._client.register_memory(name, f"/{name}", size)
            except NotReady as error:
                memory.close()
                raise NotReady(
                    f"{error} (triton_transport shared_memory is for a Triton on this machine, with {FOLDER} and user "
                    "in common; grpc for any other)"
                ) from error
        self._memory, self.name, self._epoch = memory, name, epoch

    def write(self, start: int, array: Array) -> None:
        assert self._memory is not None, "room is made first"
        np.frombuffer(self._memory, array.dtype, array.size, start).reshape(array.shape)[...] = array

    def withdraw(self) -> None:
        """Let Triton close it, if it has it open. Raises NotReady where that does not answer."""
        if self._memory is not None:
            self._client.unregister_memory(self.name)

    def free(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory = None


@contextmanager
def new_memory(name: str, num_bytes: int) -> Iterator[mmap.mmap]:
    """Shared memory that others find by its name within the context, and nobody afterwards: whoever has it open by then
    keeps it, and nothing is left behind whatever becomes of them. Raises NotReady where there is no room for it."""
    path = os.path.join(FOLDER, name)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            # Taken now: a page that can not be had when it is written to ends the process.
            os.posix_fallocate(descriptor, 0, num_bytes)
            memory = mmap.mmap(descriptor, num_bytes)
        except BaseException:
            os.unlink(path)
            raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise NotReady(
            f"{num_bytes:,} bytes of shared memory can not be had ({error.strerror}): give {FOLDER} more room, in a "
            "container by --shm-size, or choose triton_transport grpc"
        ) from error
    try:
        yield memory
    finally:
        os.unlink(path)


def aligned(num_bytes: int) -> int:
    return -(-num_bytes // ALIGNMENT) * ALIGNMENT
