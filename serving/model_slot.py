"""One configured model: the reference it follows, what answers for it now, and what became of the last attempt."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from registry.reference import ModelRef, VersionInfo
from serving.served import Served

PLACES = re.compile(r"(?<=:)//[^\s'\",;/]+(?![^\s'\",;]*/)|(?<!\w)/[^\s'\",;]*/")
"""The host of an address, host and folders of one, or the folders of an absolute path."""


def without_places(told: str) -> str:
    """For the prediction port: what is wrong, but not where on this machine or in its network packages lie."""
    return PLACES.sub("…/", told)


class State(StrEnum):
    """In the words of the Open Inference Protocol's repository index."""

    READY = "READY"
    LOADING = "LOADING"
    UNLOADING = "UNLOADING"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class ModelState:
    """A line of the index. `reason`: why it is not ready, or why a newer version is not served."""

    name: str
    version: str
    state: State
    reason: str

    def without_places(self) -> ModelState:
        """The same for the prediction port."""
        return replace(self, reason=without_places(self.reason))


@dataclass
class ModelSlot:
    """Changed by the host alone, on the event loop."""

    ref: ModelRef
    state: State = State.LOADING
    reason: str = ""
    info: VersionInfo | None = None
    """The version that `model` is."""
    model: Served | None = None
    failed: VersionInfo | None = None
    """A version that did not prove itself: not tried again until the reference moves or somebody asks."""
    follows: bool = True
    """False once it was unloaded by hand."""

    def hangs(self, hang_timeout_s: float) -> bool:
        """Whether its model has given up, or is as good as lost."""
        return self.model is not None and self.model.stalled_s() > hang_timeout_s

    def note_failure(self, error: Exception) -> bool:
        """Nothing could be brought in. False if the same was so, and said, at the last look."""
        failed = f"version {self.failed.version}: " if self.failed else ""
        reason, before = f"{failed}{error}", self.reason
        if self.model is None:
            self.state = State.UNAVAILABLE
        self.reason = reason
        return reason != before

    def describe(self, hang_timeout_s: float) -> ModelState:
        version = self.info.version if self.info else self.ref.version or ""
        if self.hangs(hang_timeout_s):
            # Not for how long: a metric's label must not change with every scrape.
            reason = f"the runtime has not returned for more than {hang_timeout_s:g} s"
            return ModelState(self.ref.name, version, State.UNAVAILABLE, reason)
        if self.model is not None and self.model.ailment:
            return ModelState(self.ref.name, version, State.UNAVAILABLE, self.model.ailment)
        return ModelState(self.ref.name, version, self.state, self.reason)
