"""Chat templates: a package's Jinja template turns messages into the text that its model was trained to answer.

The same variables, filters and block trimming as in `transformers`, whose templates most published models carry. The
template runs in a sandbox, without access to anything but its messages, and may write only so much.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tasks.errors import BadInput, InvalidPackage

MAX_TEMPLATE_BYTES = 2**20


class Refusal(jinja2.TemplateError):
    """What a template says about messages that it does not take."""


class ChatTemplate:
    """One template file. Thread-safe."""

    def __init__(self, path: Path, special_tokens: Mapping[str, str], max_characters: int) -> None:
        """`special_tokens`: `bos_token` and `eos_token` by their text. Raises InvalidPackage for a file that is
        missing, no template, or not able to put the simplest of chats."""
        self._special_tokens = dict(special_tokens)
        self._max_characters = max_characters
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"], cache_size=0
        )
        environment.filters["tojson"] = to_json
        environment.globals["raise_exception"] = refuse
        environment.globals["strftime_now"] = strftime_now
        try:
            if (num_bytes := path.stat().st_size) > MAX_TEMPLATE_BYTES:
                raise InvalidPackage(f"{path} has {num_bytes:,} bytes; at most {MAX_TEMPLATE_BYTES:,} are read")
            self._template = environment.from_string(path.read_text("utf-8"))
            self._written([{"role": "user", "content": "Hello"}])
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidPackage(f"the chat template {path} can not be read: {error}") from error
        except Exception as error:  # templates raise whatever Python does
            if isinstance(error, InvalidPackage):
                raise
            raise InvalidPackage(f"the chat template {path} can not put a message of one user: {error}") from error

    def render(self, messages: Sequence[Mapping[str, object]]) -> str:
        """The prompt, up to where the assistant answers. Raises BadInput for messages that are none, or that the
        template refuses."""
        if not messages:
            raise BadInput("messages is empty; send one or more")
        plain = [plain_message(index, message) for index, message in enumerate(messages)]
        try:
            return self._written(plain)
        except SecurityError as error:
            raise InvalidPackage(f"the model's chat template does what its sandbox forbids: {error}") from error
        except BadInput:
            raise
        except Refusal as error:
            raise BadInput(f"the model's chat template refuses these messages: {error}") from error
        except Exception as error:  # whatever Python raises on values of a type that the template does not expect
            raise BadInput(f"the model's chat template can not put these messages: {error}") from error

    def _written(self, messages: list[dict[str, Any]]) -> str:
        parts, num_characters = [], 0
        for part in self._template.generate(messages=messages, add_generation_prompt=True, **self._special_tokens):
            parts.append(part)
            num_characters += len(part)
            if num_characters > self._max_characters:
                raise BadInput(
                    f"the messages make a prompt of more than {self._max_characters:,} characters, which no context of "
                    "this model can hold: send fewer or shorter ones"
                )
        return "".join(parts)


def plain_message(index: int, message: Mapping[str, object]) -> dict[str, Any]:
    """A message whose content is one text. Raises BadInput for one without role or text."""
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or not role:
        raise BadInput(f"messages[{index}] needs a role: system, user or assistant")
    if isinstance(content, list | tuple):
        content = "".join(text_part(index, part) for part in content)
    if not isinstance(content, str):
        raise BadInput(f"messages[{index}] needs a content: a text, or a list of parts of type 'text'")
    return {**message, "content": content}


def text_part(index: int, part: object) -> str:
    if isinstance(part, Mapping) and part.get("type") == "text" and isinstance(text := part.get("text"), str):
        return text
    raise BadInput(f"messages[{index}] has a part that is no text; this model reads nothing else")


def to_json(value: object, indent: int | None = None) -> str:
    """As `transformers` has it: Jinja's own filter would escape what HTML needs escaped."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def strftime_now(format: str) -> str:
    """Today's date, which some templates tell the model."""
    return datetime.now().strftime(format)


def refuse(message: str) -> NoReturn:
    raise Refusal(message)
