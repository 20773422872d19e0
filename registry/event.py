"""The promotion event: one entry in the history of a model."""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from registry.manifest import GateResult
from tasks.errors import NotReady

Record = TypeVar("Record", bound=msgspec.Struct)


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


def decode_record(encoded: bytes | str, kind: type[Record], where: str) -> Record:
    """A record that a store keeps beside its packages. Raises NotReady, saying where the damage is: to go on as if it
    were not there could undo a promotion that it tells of."""
    try:
        return msgspec.json.decode(encoded, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotReady(f"{where} is damaged: {error}; restore it, or remove it if it is of no use") from error
