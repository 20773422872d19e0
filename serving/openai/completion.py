"""The answer to /v1/completions, whole and in pieces: both of one form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from serving.generation.request import Delta, Usage
from serving.openai.completion_request import CompletionRequest
from serving.openai.head import Head, usage_wire
from serving.openai.logprobs import completion_logprobs
from serving.openai.token_text import TokenText
from tasks.generation import Generated, TokenScore
from tasks.text import Tokenizer

OBJECT = "text_completion"


class CompletionWire:
    """Of one request. `prompts`: their texts, which `echo` repeats."""

    def __init__(self, head: Head, request: CompletionRequest, prompts: Sequence[str], tokenizer: Tokenizer) -> None:
        self._head, self._request, self._prompts = head, request, prompts
        self._tokenizer = tokenizer
        self._texts: defaultdict[int, TokenText] = defaultdict(lambda: TokenText(tokenizer))

    def whole(self, answers: Sequence[Sequence[Generated]], usage: Usage) -> dict[str, Any]:
        """`answers`: those to each prompt, of which the best are answered."""
        choices: list[dict[str, Any]] = []
        for prompt, made in zip(self._prompts, answers, strict=True):
            for answer in best(made, self._request.num_choices):
                text = prompt + answer.text if self._request.echo else answer.text
                scores = tuple(map(TokenScore, answer.tokens, answer.logprobs))
                delta = Delta(len(choices), text, scores, answer.top_logprobs, answer)
                choices.append(self._choice(delta))
        return self._head.wire(OBJECT, choices=choices, usage=usage_wire(usage))

    def opening(self) -> Iterator[dict[str, Any]]:
        """What can be sent before the first token."""
        if self._request.echo:
            for index in range(len(self._prompts) * self._request.num_choices):
                prompt = self._prompts[index // self._request.num_choices]
                yield self._chunk(self._choice(Delta(index, prompt, (), (), None)))

    def pieces(self, delta: Delta) -> Iterator[dict[str, Any]]:
        """Nothing where there is nothing to tell yet."""
        if delta.text or delta.finished or (delta.tokens and self._request.logprobs is not None):
            yield self._chunk(self._choice(delta))

    def closing(self, usage: Usage) -> Iterator[dict[str, Any]]:
        if self._request.wants_usage:
            yield self._head.wire(OBJECT, choices=[], usage=usage_wire(usage))

    def _chunk(self, choice: dict[str, Any]) -> dict[str, Any]:
        usage = {"usage": None} if self._request.wants_usage else {}
        return self._head.wire(OBJECT, choices=[choice], **usage)

    def _choice(self, delta: Delta) -> dict[str, Any]:
        logprobs = None
        if self._request.logprobs is not None:
            logprobs = completion_logprobs(self._texts[delta.choice], delta.tokens, delta.top_logprobs)
        return {
            "index": delta.choice,
            "text": delta.text,
            "logprobs": logprobs,
            "finish_reason": delta.finished.finish_reason if delta.finished else None,
        }


def best(answers: Sequence[Generated], count: int) -> Sequence[Generated]:
    """Those with the highest score first, if there are more of them than asked for; else all as they are."""
    if len(answers) <= count:
        return answers
    return sorted(answers, key=lambda answer: answer.score, reverse=True)[:count]
