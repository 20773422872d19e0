"""Feedback as it is sent: about one picture or prompt of one request."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from serving.json_fields import read_json
from tasks.errors import BadInput, TooLarge

MAX_FEEDBACKS = 1_000
"""Of one call."""
MAX_OBJECTS = 1_000
MAX_REFERENCES = 16
MAX_CHARACTERS = 16_384
"""Of a reference."""
TRUTH_FIELDS = ("label", "objects", "mask", "references", "rating")

ClassName = Annotated[str, msgspec.Meta(max_length=1_000)]
ClassId = Annotated[int, msgspec.Meta(ge=0)]
Coordinate = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
RequestId = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Index = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
Version = Annotated[str, msgspec.Meta(max_length=128)]
Text = Annotated[str, msgspec.Meta(max_length=MAX_CHARACTERS)]


class TrueObject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`label`: name or index of its class; `box`: left, top, right, bottom in pixels of the original picture."""

    label: ClassName | ClassId
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate]


class Feedback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`index`: which picture or prompt of the request, where it held several. `version` and `prediction`: who answered
    and what, for a server that does not remember it."""

    request_id: RequestId
    index: Index | None = None
    version: Version | None = None
    prediction: msgspec.Raw = msgspec.Raw()
    label: ClassName | ClassId | None = None
    objects: Annotated[tuple[TrueObject, ...], msgspec.Meta(max_length=MAX_OBJECTS)] | None = None
    mask: bytes | None = None
    """PNG; in JSON base64."""
    references: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=MAX_REFERENCES)] | None = None
    rating: Annotated[float, msgspec.Meta(ge=0, le=1)] | Literal["up", "down"] | None = None

    @property
    def item(self) -> int:
        """The picture or prompt that it is about."""
        return self.index or 0

    @property
    def attached(self) -> bytes:
        """The prediction that was sent along, JSON; empty where none was."""
        prediction = bytes(self.prediction)
        return b"" if prediction == b"null" else prediction

    @property
    def fields(self) -> tuple[str, ...]:
        """The kinds of truth that it holds."""
        return tuple(name for name in TRUTH_FIELDS if getattr(self, name) is not None)


def read_feedbacks(body: bytes) -> list[msgspec.Raw]:
    """One JSON object, or a list of them, none of which was looked at yet. Raises BadInput or TooLarge."""
    wanted = 'the body must be feedback like {"request_id": "…", "label": "7"}, or a list of such objects'
    if body.lstrip()[:1] != b"[":
        return [read_json(body, msgspec.Raw, wanted)]
    found = read_json(body, list[msgspec.Raw], wanted)
    if not found:
        raise BadInput(f"{wanted}: the list is empty")
    if len(found) > MAX_FEEDBACKS:
        raise TooLarge(f"{len(found)} feedbacks in one call; at most {MAX_FEEDBACKS} are accepted: send several calls")
    return found


def read_feedback(content: bytes) -> Feedback:
    """Raises BadInput."""
    return read_json(content, Feedback, "feedback is an object of request_id and what would have been right")
