"""What a caller sends to be continued → the prompt that his model takes, without keeping the event loop from others.

A prompt that is being made has its places in line already, so that no more of them are made at once than may wait, and
its deadline counts meanwhile. A thread that works for somebody who has left goes on to the end of its one prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from serving.deadline import Deadline
from serving.generative_model import GenerativeModel
from serving.served import Served
from serving.served_model import ServedModel
from tasks.errors import Unsupported
from tasks.generation import Prompt
from tasks.generation_params import GenerationParams
from tasks.text_generation import TextGeneration

QUICK_CHARACTERS = 1_000
"""A text up to here is cut into tokens within a millisecond; longer ones go to a thread."""


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


async def text_prompt(model: GenerativeModel, text: str, params: GenerationParams, deadline: Deadline) -> Prompt:
    """Raises BadInput for a text that is empty or leaves no room for an answer, and as `GenerativeModel.preparing`."""
    (prompt,) = await prompts_of(model, [text], params, deadline)
    return prompt


async def prompts_of(
    model: GenerativeModel, given: Sequence[str | Sequence[int]], params: GenerationParams, deadline: Deadline
) -> list[Prompt]:
    """Of texts, or of tokens as they are. Raises BadInput for the first that can not be continued, and as
    `GenerativeModel.preparing`."""
    task = text_task(model)

    def make() -> list[Prompt]:
        return [task.prompt(one) if isinstance(one, str) else task.prompt_from_tokens(one) for one in given]

    async with model.preparing(params, deadline, len(given)):
        return make() if sum(map(len, given)) <= QUICK_CHARACTERS else await asyncio.to_thread(make)


async def chat_prompt(
    model: GenerativeModel, messages: Sequence[Mapping[str, str]], params: GenerationParams, deadline: Deadline
) -> Prompt:
    """Raises BadInput, also for what the model's chat template refuses; Unsupported where there is none; and as
    `GenerativeModel.preparing`.

    Always on a thread: a template is somebody's program, and may take seconds until its budget is spent."""
    task = text_task(model)
    async with model.preparing(params, deadline):
        return await asyncio.to_thread(task.chat_prompt, messages)
