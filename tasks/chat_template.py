"""Chat templates: a package's Jinja template turns messages into the text that its model was trained to continue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2.exceptions import SecurityError

from tasks.chat_sandbox import Refusal, chat_sandbox
from tasks.errors import BadInput, InvalidPackage

MAX_TEMPLATE_BYTES = 2**20
SIMPLEST_CHAT = ({"role": "user", "content": "Hello"},)


class ChatTemplate:
    """One template file. Thread-safe."""

    def __init__(self, path: Path, special_tokens: Mapping[str, str], max_characters: int) -> None:
        """`special_tokens`: `bos_token` and `eos_token` by their text. Raises InvalidPackage for a file that is
        missing, no template, or not able to put the simplest of chats."""
        self._special_tokens = dict(special_tokens)
        self._max_characters = max_characters
        try:
            if (num_bytes := path.stat().st_size) > MAX_TEMPLATE_BYTES:
                raise InvalidPackage(f"{path} has {num_bytes:,} bytes; at most {MAX_TEMPLATE_BYTES:,} are read")
            source = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidPackage(f"the chat template {path} can not be read: {error}") from error
        try:
            self._template = chat_sandbox().from_string(source)
            self._written(SIMPLEST_CHAT)
        except Exception as error:  # templates raise whatever Python does
            raise InvalidPackage(f"the chat template {path} can not put one message of a user: {error}") from error

    def render(self, messages: Sequence[Mapping[str, object]]) -> str:
        """The prompt, up to where the assistant answers. Raises BadInput for messages that are none, or that the
        template refuses, and InvalidPackage for a template that tries to break out."""
        if not messages:
            raise BadInput("messages is empty; send one or more")
        plain = [plain_message(index, message) for index, message in enumerate(messages)]
        try:
            return self._written(plain)
        except BadInput:
            raise
        except SecurityError as error:
            raise InvalidPackage(f"the model's chat template does what its sandbox forbids: {error}") from error
        except Refusal as error:
            raise BadInput(f"the model's chat template refuses these messages: {error}") from error
        except Exception as error:  # whatever Python raises on values that the template does not expect
            raise BadInput(f"the model's chat template can not put these messages: {error}") from error

    def _written(self, messages: Sequence[Mapping[str, object]]) -> str:
        given: dict[str, Any] = {"messages": messages, "add_generation_prompt": True, "tools": None, "documents": None}
        parts, num_characters = [], 0
        for part in self._template.generate(given | self._special_tokens):
            parts.append(part)
            num_characters += len(part)
            if num_characters > self._max_characters:
                raise BadInput(
                    f"the messages make a prompt of more than {self._max_characters:,} characters, which the context "
                    "of this model cannot hold: send fewer or shorter ones"
                )
        return "".join(parts)


def plain_message(index: int, message: Mapping[str, object]) -> dict[str, object]:
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
