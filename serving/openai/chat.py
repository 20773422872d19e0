"""The answer to /v1/chat/completions: a message when it is whole, deltas of one when it comes in pieces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from serving.generation.request import Delta, Usage
from serving.openai.chat_request import ChatRequest
from serving.openai.head import Head, usage_wire
from serving.openai.logprobs import chat_logprobs
from serving.openai.token_text import TokenText
from tasks.generation import Generated, TokenScore
from tasks.text import Tokenizer

WHOLE, CHUNK = "chat.completion", "chat.completion.chunk"


class ChatWire:
    """Of one request."""

    def __init__(self, head: Head, request: ChatRequest, tokenizer: Tokenizer) -> None:
        self._head, self._request = head, request
        self._texts: defaultdict[int, TokenText] = defaultdict(lambda: TokenText(tokenizer))

    def whole(self, answers: Sequence[Sequence[Generated]], usage: Usage) -> dict[str, Any]:
        choices = []
        for index, answer in enumerate(answer for made in answers for answer in made):
            scores = tuple(map(TokenScore, answer.tokens, answer.logprobs))
            message = {"role": "assistant", "content": answer.text, "refusal": None}
            choices.append(
                {
                    "index": index,
                    "message": message,
                    "logprobs": self._logprobs(Delta(index, answer.text, scores, answer.top_logprobs, answer)),
                    "finish_reason": answer.finish_reason,
                }
            )
        return self._head.wire(WHOLE, choices=choices, usage=usage_wire(usage))

    def opening(self) -> Iterator[dict[str, Any]]:
        """Who speaks."""
        for index in range(self._request.n or 1):
            yield self._chunk(index, {"role": "assistant", "content": "", "refusal": None})

    def pieces(self, delta: Delta) -> Iterator[dict[str, Any]]:
        """Text and end come apart, as they do from OpenAI. Nothing where there is nothing to tell yet."""
        if delta.text or (delta.tokens and self._request.logprobs):
            yield self._chunk(delta.choice, {"content": delta.text}, self._logprobs(delta))
        if delta.finished:
            yield self._chunk(delta.choice, {}, finish_reason=delta.finished.finish_reason)

    def closing(self, usage: Usage) -> Iterator[dict[str, Any]]:
        if self._request.wants_usage:
            yield self._head.wire(CHUNK, choices=[], usage=usage_wire(usage))

    def _chunk(
        self, index: int, content: dict[str, Any], logprobs: Any = None, finish_reason: str | None = None
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": content, "logprobs": logprobs, "finish_reason": finish_reason}
        usage = {"usage": None} if self._request.wants_usage else {}
        return self._head.wire(CHUNK, choices=[choice], **usage)

    def _logprobs(self, delta: Delta) -> dict[str, Any] | None:
        if not self._request.logprobs:
            return None
        return chat_logprobs(self._texts[delta.choice], delta.tokens, delta.top_logprobs)
