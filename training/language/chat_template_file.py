"""The chat template that a recipe asks for, as a file in the cache under the name that checkpoints have for it."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

from tasks.chat_template import MAX_TEMPLATE_BYTES, ChatTemplate
from tasks.errors import InvalidPackage, InvalidRecipe
from training.data.cache import cache_key, cached_folder

CHAT_TEMPLATE_FILE = "chat_template.jinja"


def open_chat_template_file(path: str, end_of_text: str) -> Path:
    """A Jinja template of the user's, tried on the simplest of chats. Raises InvalidRecipe."""
    special = {"bos_token": end_of_text, "eos_token": end_of_text}
    try:
        ChatTemplate(Path(path), special, MAX_TEMPLATE_BYTES)
    except InvalidPackage as error:
        raise InvalidRecipe(f"text.chat_template: {error}") from error
    content = Path(path).read_bytes()
    key = cache_key(hashlib.sha256(content).hexdigest())
    write = partial(write_template, content)
    return cached_folder("chat_templates", key, CHAT_TEMPLATE_FILE, write) / CHAT_TEMPLATE_FILE


def write_template(content: bytes, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "partial.jinja").write_bytes(content)
    (folder / "partial.jinja").rename(folder / CHAT_TEMPLATE_FILE)
