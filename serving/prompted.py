"""One text or picture put to a model that generates, wherever it runs: for endpoints that answer in our own words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from serving.answer_group import AnswerGroup
from serving.asked import Asked
from serving.deadline import Deadline
from serving.generation.request import Delta, Usage
from serving.prompts import generative, text_prompt, text_task
from serving.served import Served
from serving.upstream.model import UpstreamModel
from tasks.generation import Generated
from tasks.generation_params import GenerationParams
from tasks.task import Array, Prediction
from tasks.text_generation import TextGeneration


@dataclass(frozen=True)
class Prompted:
    """Being answered. Iterate over it, or wait for the prediction; `cancel` when nobody wants the rest."""

    model: Served
    params: GenerationParams
    group: AnswerGroup
    finish: Callable[[Sequence[Generated]], Prediction]
    wire_outputs: Callable[[Prediction], dict[str, Array]]

    def __aiter__(self) -> AsyncIterator[Delta]:
        return aiter(self.group)

    async def predict(self) -> Prediction:
        """All answers, best first. Raises DeadlineExceeded or NotReady. Whoever is cancelled here cancels them."""
        await self.group.wait()
        return self.prediction()

    def prediction(self) -> Prediction:
        """The same, after the end."""
        answers = self.group.answers[0]
        return self.finish(sorted(answers, key=lambda answer: answer.score, reverse=True))

    @property
    def usage(self) -> Usage:
        """After the end."""
        return self.group.usage

    def cancel(self) -> None:
        self.group.cancel()


def check_takes_text(served: Served) -> None:
    """To be asked before what was sent is looked at. Raises Unsupported."""
    if not isinstance(served, UpstreamModel):
        text_task(generative(served))


async def prompt_text(
    served: Served, text: str, values: Mapping[str, object], deadline: Deadline, index: int = 0
) -> Prompted:
    """`values`: the parameters as they came; `index`: which of the request's texts it is.

    Raises BadInput, Unsupported for a model that takes no text, Overloaded, NotReady."""
    if isinstance(served, UpstreamModel):
        params = served.parse_params(values)
        group = AnswerGroup([served.start(text, params, deadline, index)], params.n)
        return Prompted(served, params, group, served.finish, TextGeneration.wire_outputs)
    model = generative(served)
    task = text_task(model)
    params = task.parse_params(values)
    prompt = await text_prompt(model, text, params, deadline)
    group = AnswerGroup([await model.start(prompt, params, deadline, asked=Asked.now(index, prompt=text))], params.n)
    return Prompted(model, params, group, task.finish, task.wire_outputs)


async def prompt_picture(
    served: Served, payload: bytes, values: Mapping[str, object], deadline: Deadline, index: int = 0
) -> Prompted:
    """`payload`: encoded; `index`: which of the request's pictures it is. Raises as `prompt_text`, and TooLarge."""
    model = generative(served)
    params = model.task.parse_params(values)
    with model.lease():
        encoded = await model.encode(payload, deadline)
        answering = await model.start(
            model.task.prompt_of(encoded), params, deadline, encoded, Asked.now(index, picture=payload)
        )
    return Prompted(model, params, AnswerGroup([answering], params.n), model.task.finish, model.task.wire_outputs)
