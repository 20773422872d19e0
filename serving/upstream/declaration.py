"""How a deployment declares a model that another server runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from tasks.errors import InvalidRecipe, NotReady


class Upstream(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`url`: up to and including the version, as in http://host:8000/v1. The key is never configured itself, only
    where it is: an environment variable, or a file, which may change while the server runs."""

    url: str
    model: str = ""
    """What the model is called there; nothing: as it is here."""
    api_key_variable: str = ""
    api_key_file: str = ""
    profile: str = ""
    """A reference profile (profile.json of a text model's package) to watch the traffic by; nothing: no verdicts."""
    max_in_flight: Annotated[int, msgspec.Meta(ge=1)] = 256
    """Requests that may be there at once; beyond that a caller is told to come back."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url must look like http://host:8000/v1, got {self.url!r}")
        if parts.username or parts.password:
            raise ValueError("url must not hold a password: name api_key_variable or api_key_file")
        if self.api_key_variable and self.api_key_file:
            raise ValueError("api_key_variable and api_key_file exclude each other: leave one of them out")

    def check(self, name: str, environment: Mapping[str, str]) -> None:
        """Whether what it refers to is there. Raises InvalidRecipe."""
        if self.api_key_variable and not environment.get(self.api_key_variable):
            raise InvalidRecipe(f"upstream {name!r}: environment variable {self.api_key_variable} is not set")
        for field, file in (("api_key_file", self.api_key_file), ("profile", self.profile)):
            if file and not Path(file).is_file():
                raise InvalidRecipe(f"upstream {name!r}: {field} {file} is not there")

    def api_key(self, environment: Mapping[str, str]) -> str:
        """The key at this moment; empty where none is needed. Raises NotReady."""
        if self.api_key_variable:
            return environment.get(self.api_key_variable, "")
        if not self.api_key_file:
            return ""
        try:
            return Path(self.api_key_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NotReady("the key of the upstream server can not be read") from error
