"""What a deployment says of the engine goes together."""

from __future__ import annotations

import re
from typing import Protocol

from tasks.errors import InvalidRecipe

HOST_AND_PORT = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}")


class Configured(Protocol):
    """The settings that depend on each other."""

    @property
    def engine(self) -> str: ...

    @property
    def triton_url(self) -> str: ...

    @property
    def swap(self) -> str: ...


def check_engine(config: Configured) -> None:
    """What one source may leave to another is there in the end, and goes together. Raises InvalidRecipe."""
    if (config.engine == "triton") != bool(config.triton_url):
        raise InvalidRecipe(
            f"configuration: engine is {config.engine!r} and triton_url {config.triton_url!r}; give both for models "
            "that run on Triton (engine triton, triton_url HOST:PORT of its gRPC), or neither"
        )
    if config.triton_url and not HOST_AND_PORT.fullmatch(config.triton_url):
        raise InvalidRecipe(
            f"configuration: triton_url is {config.triton_url!r}; it must be HOST:PORT of Triton's gRPC, like gpu:8001"
        )
    if config.engine == "triton" and config.swap == "replace":
        raise InvalidRecipe(
            "configuration: swap replace makes room on this machine, and with engine triton there is nothing in its "
            "way: leave swap out, and the version before answers until Triton has the next one"
        )
