"""The field `response_format`: what an answer must look like."""

from __future__ import annotations

from typing import Literal

import msgspec

from serving.openai.error_body import BadField

ANY_OBJECT = '{"type":"object"}'
"""The schema of json_object."""


class NamedSchema(msgspec.Struct, frozen=True):
    """`strict` or not: the answer is always one that the schema allows. It is read where it is compiled."""

    name: str
    schema: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(msgspec.Struct, frozen=True, kw_only=True):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    def schema(self) -> str:
        """The JSON schema that the answer must keep to; empty for text. Raises BadField."""
        if self.type == "text":
            return ""
        if self.type == "json_object":
            return ANY_OBJECT
        if self.json_schema is None:
            raise BadField("response_format", "response_format of type json_schema needs a field json_schema")
        try:
            return bytes(self.json_schema.schema).decode()
        except UnicodeDecodeError as error:
            raise BadField("response_format", f"the schema is not valid UTF-8: {error}") from error
