"""One copy put to the challenger, and how far its answer agrees with the champion's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import NamedTuple

import msgspec

from serving.challenger.agreement import Seen, common_prefix, picture_agreement
from serving.challenger.copies import Copy, PictureCopy, PromptCopy, TensorCopy
from serving.deadline import Deadline
from serving.generative_model import GenerativeModel
from serving.picture_stage import row_of
from serving.served_model import ServedModel
from serving.workers import DecodePool
from tasks.generation import Encoded, Generated, Prompt
from tasks.generative_spec import GenerativeSpec
from tasks.task import Array, Params, Sample

LocalModel = ServedModel | GenerativeModel
"""A version that runs in this process."""


class Incomparable(Exception):
    """Two answers to this would say nothing about the versions."""


class Replayed(NamedTuple):
    """`agreements`: of each picture or prompt. `seconds`: what the challenger took for the same work; None where the
    champion's was another."""

    agreements: list[float]
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Replay:
    """Two versions of one model. Answers are compared on a thread of the pool."""

    champion: LocalModel
    challenger: LocalModel
    pool: DecodePool

    async def ask(self, copy: Copy, deadline: Deadline) -> Replayed:
        """Raises Incomparable before anything is spent, and whatever the challenger raises."""
        champion, challenger = self.champion, self.challenger
        if isinstance(copy, PromptCopy):
            assert isinstance(champion, GenerativeModel)
            assert isinstance(challenger, GenerativeModel)
            return await self._ask_prompt(copy, champion, challenger, deadline)
        assert isinstance(champion, ServedModel)
        assert isinstance(challenger, ServedModel)
        if isinstance(copy, PictureCopy):
            return await self._ask_picture(copy, champion, challenger, deadline)
        return await self._ask_tensors(copy, champion, challenger, deadline)

    async def _ask_picture(
        self, copy: PictureCopy, champion: ServedModel, challenger: ServedModel, deadline: Deadline
    ) -> Replayed:
        # Parsed again: what one version allows another may not.
        params = challenger.task.parse_params(msgspec.to_builtins(copy.params))
        started_at = monotonic()
        answer = await challenger.answer(copy.payload, params, deadline, partial(see, challenger))
        # Drawing is no part of what is asked of the challenger.
        seconds = None if params.wants_overlay else monotonic() - started_at

        def compare() -> list[float]:
            return [picture_agreement(see(champion, copy.outputs, copy.sample, copy.params), answer)]

        return Replayed(await self.pool.run(compare), seconds)

    async def _ask_tensors(
        self, copy: TensorCopy, champion: ServedModel, challenger: ServedModel, deadline: Deadline
    ) -> Replayed:
        if champion.runtime.inputs != challenger.runtime.inputs:
            raise Incomparable("the two versions take tensors of different shape")
        started_at = monotonic()
        outputs = await challenger.infer(copy.tensors, deadline)
        seconds = monotonic() - started_at

        def compare() -> list[float]:
            return [
                picture_agreement(
                    see_tensors(champion, row_of(copy.tensors, row), row_of(copy.outputs, row)),
                    see_tensors(challenger, row_of(copy.tensors, row), row_of(outputs, row)),
                )
                for row in range(copy.num_items)
            ]

        return Replayed(await self.pool.run(compare), seconds)

    async def _ask_prompt(
        self, copy: PromptCopy, champion: GenerativeModel, challenger: GenerativeModel, deadline: Deadline
    ) -> Replayed:
        """The same text again is no merit of a version whose tokens were drawn by lot."""
        if not copy.params.is_greedy and copy.params.num_beams == 1:
            raise Incomparable("tokens were sampled")
        started_at = monotonic()
        with challenger.lease():
            encoded = await challenger.encode(copy.payload, deadline) if copy.payload else None
            prompt = await self._prompt(copy, champion, challenger, encoded)
            answering = await challenger.start(prompt, copy.params, deadline, encoded)
            best = (await answering.wait())[0]
        seconds = monotonic() - started_at
        return Replayed([generated_agreement(champion, challenger, copy.answer, best)], seconds)

    async def _prompt(
        self, copy: PromptCopy, champion: GenerativeModel, challenger: GenerativeModel, encoded: Encoded | None
    ) -> Prompt:
        """The champion's, where both spell alike; else the same text, if it was nothing but text."""
        if encoded is not None:
            return challenger.task.prompt_of(encoded)
        if spell_alike(champion, challenger):
            return copy.prompt

        def spell_anew() -> Prompt:
            text = champion.task.tokenizer.decode(copy.prompt.tokens)
            if champion.task.prompt(text).tokens != copy.prompt.tokens:
                raise Incomparable("the prompt has tokens that are no text, and the two versions have other tokenizers")
            return challenger.task.prompt(text)

        return await self.pool.run(spell_anew)


def see(model: ServedModel, outputs: Mapping[str, Array], sample: Sample, params: Params) -> Seen:
    """What a version concludes."""
    return Seen(model.task, sample, outputs, model.task.decode_output(outputs, sample, params))


def see_tensors(model: ServedModel, tensors: Mapping[str, Array], outputs: Mapping[str, Array]) -> Seen:
    """The same of a client's own tensors: as the version does where nobody asks for anything in particular."""
    sample = model.task.sample_from_tensor(next(iter(tensors.values())))
    return see(model, outputs, sample, model.task.parse_params({}))


def spell_alike(one: GenerativeModel, other: GenerativeModel) -> bool:
    """Whether both have the same tokenizer."""
    return tokenizer_digest(one) == tokenizer_digest(other)


def tokenizer_digest(model: GenerativeModel) -> str:
    spec = model.task.spec
    assert isinstance(spec, GenerativeSpec)
    return model.package.manifest.files[spec.tokenizer].sha256


def generated_agreement(
    champion: GenerativeModel, challenger: GenerativeModel, one: Generated, other: Generated
) -> float:
    """By tokens, or by characters where the versions have other tokens."""
    if spell_alike(champion, challenger):
        return common_prefix(one.tokens, other.tokens)
    return common_prefix(one.text, other.text)
