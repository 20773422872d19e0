"""The promotion event: one entry in the history of a model."""

from __future__ import annotations

from typing import Literal

import msgspec

from registry.manifest import GateResult


class PromotionEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who moved an alias, when, from where to where, and on what evidence. Never changed once written.

    `previous` is the version that held the alias before, None when nobody did. `force_reason` is empty unless failed
    gates were overruled. `at` is ISO 8601 in UTC; `id` sorts by time and is unique.
    """

    id: str
    action: Literal["promote", "rollback"]
    name: str
    alias: str
    version: str
    digest: str
    previous: str | None
    who: str
    at: str
    gates: tuple[GateResult, ...] = ()
    force_reason: str = ""
