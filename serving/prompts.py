"""What a caller sends to be continued → the prompt that his model takes, without keeping the event loop from others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from serving.generative_model import GenerativeModel
from serving.served import Served
from serving.served_model import ServedModel
from tasks.errors import Unsupported
from tasks.generation import Prompt
from tasks.text_generation import TextGeneration

QUICK_CHARACTERS = 1_000
"""A text up to here is cut into tokens within a millisecond; longer ones go to a thread."""
Made = TypeVar("Made")


def generative(model: Served) -> GenerativeModel:
    """A model that answers token by token. Raises Unsupported for any other."""
    if isinstance(model, GenerativeModel):
        return model
    verb = model.task.verb if isinstance(model, ServedModel) else "generate"
    raise Unsupported(f"model {model.name!r} does not generate text: POST /v1/models/{model.name}/{verb}")


def text_task(model: GenerativeModel) -> TextGeneration:
    """What the model does with text. Raises Unsupported for one that describes pictures."""
    if not isinstance(model.task, TextGeneration):
        verb = model.task.verb
        raise Unsupported(f"model {model.name!r} needs a picture: POST it to /v1/models/{model.name}/{verb}")
    return model.task


async def text_prompt(task: TextGeneration, text: str) -> Prompt:
    """Raises BadInput for a text that is empty or leaves no room for an answer."""
    return await at_leisure(lambda: task.prompt(text), len(text))


async def prompts_of(task: TextGeneration, given: Sequence[str | Sequence[int]]) -> list[Prompt]:
    """Of texts, or of tokens as they are. Raises BadInput for the first that can not be continued."""

    def make() -> list[Prompt]:
        return [task.prompt(one) if isinstance(one, str) else task.prompt_from_tokens(one) for one in given]

    return await at_leisure(make, sum(map(len, given)))


async def chat_prompt(task: TextGeneration, messages: Sequence[Mapping[str, str]]) -> Prompt:
    """Raises BadInput, also for what the model's chat template refuses; Unsupported where there is none.

    Always on a thread: a template is somebody's program, and nobody knows how long it takes."""
    return await asyncio.to_thread(task.chat_prompt, messages)


async def at_leisure(work: Callable[[], Made], num_characters: int) -> Made:
    """At once where that is quick, else on a thread."""
    return work() if num_characters <= QUICK_CHARACTERS else await asyncio.to_thread(work)
