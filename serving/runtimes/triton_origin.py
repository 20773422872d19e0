"""Where a model on Triton comes from: what its configuration says of each of its versions, written at export, read by
whoever is to rely on it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

PREFIX = "tidegate."
"""Of the parameters in config.pbtxt; the rest is the version's number."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The package that a version was made from, and which variant of it."""

    digest: str
    variant: str

    def __str__(self) -> str:
        return f"variant {self.variant!r} of package {self.digest[:12]}"


def parameter_of(version: str) -> str:
    """The name of the parameter that says where a version comes from."""
    return f"{PREFIX}{version}"


def encode_origin(origin: Origin) -> str:
    return msgspec.json.encode(origin).decode()


def read_origins(parameters: Mapping[str, str]) -> dict[str, Origin]:
    """Version → where it comes from. What is not ours, or not to be read, was not written by an export."""
    origins = {}
    for name, text in parameters.items():
        version = name.removeprefix(PREFIX)
        if version == name:
            continue
        try:
            origins[version] = msgspec.json.decode(text, type=Origin)
        except msgspec.MsgspecError:
            continue
    return origins
