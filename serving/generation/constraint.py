"""Constraints: a JSON schema or a regular expression → which tokens may come next. The only file that knows llguidance.

A schema or an expression comes from the caller and may be meant to do harm: its length, what compiling it may cost and
what every step may cost are limited, and what goes beyond is the caller's error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llguidance
import numpy as np
from numpy.typing import NDArray

from serving.generation.request import Constraint
from tasks.errors import BadInput, TooLarge, Unsupported
from tasks.generation_params import GenerationParams

MAX_SCHEMA_CHARACTERS = 50_000
MAX_REGEX_CHARACTERS = 10_000
MAX_COMPLAINT = 300
"""Characters of what the compiler says that are passed on."""
JSON_STYLE = {"whitespace_pattern": r"[ \n]"}
"""Between the parts of JSON, where there is any. A weak model that may write more of it does, until its tokens are used
up and the answer ends in the middle."""
LIMITS = llguidance.LLParserLimits(
    step_lexer_fuel=100_000,  # about 7 ms a step at worst, while everybody else waits
    step_max_items=20_000,  # about 1 ms
    max_lexer_states=20_000,  # about 40 MB a request
    max_grammar_size=20_000,
    verbose_errors=False,
)
log = logging.getLogger(__name__)


class ConstraintCompiler:
    """Compiles constraints for one tokenizer. Thread-safe.

    Nothing compiled is kept: copies of a matcher share the states that their lexer has found, and the limit of these. A
    caller who exhausts them must be the only one to notice."""

    def __init__(self, tokenizer_json: Path, vocabulary: int, end_tokens: frozenset[int]) -> None:
        """`vocabulary`: logits of the model, which may be more than there are tokens. Never raises: if the tokenizer
        can not be constrained, `compile` says so."""
        self._has_end = bool(end_tokens)
        self._ends = np.zeros(vocabulary, np.bool_)
        self._complaint = ""
        try:
            self._tokenizer = llguidance.LLTokenizer(
                str(tokenizer_json), n_vocab=vocabulary, eos_token=sorted(end_tokens) or None
            )
        except Exception as error:  # the library raises what its parts raise
            log.warning("answers of this model can not be constrained: %s", error)
            self._complaint = str(error)
        else:
            self._ends[self._tokenizer.eos_tokens] = True

    def compile(self, params: GenerationParams) -> Callable[[], Constraint] | None:
        """What the parameters ask for: call it for each answer. None if they ask for nothing.

        May take a quarter of a second: not for the event loop, though it lets go of the interpreter meanwhile. Raises
        BadInput with what the compiler says, TooLarge, or Unsupported."""
        if not params.is_constrained:
            return None
        if self._complaint:
            raise Unsupported(f"answers of this model can not be constrained: {self._complaint}")
        compiled = self._compile(
            *(("json_schema", params.json_schema) if params.json_schema else ("regex", params.regex))
        )
        return lambda: GrammarConstraint(compiled.deep_copy(), self._ends, self._has_end)

    def _compile(self, kind: str, text: str) -> Any:
        most = MAX_SCHEMA_CHARACTERS if kind == "json_schema" else MAX_REGEX_CHARACTERS
        if len(text) > most:
            raise TooLarge(f"{kind} has {len(text)} characters; at most {most} are compiled")
        try:
            if kind == "json_schema":
                grammar = llguidance.LLMatcher.grammar_from_json_schema(text, defaults=JSON_STYLE)
            else:
                grammar = llguidance.LLMatcher.grammar_from_regex(text)
        except ValueError as error:
            raise BadInput(f"{kind} can not be compiled: {complaint(str(error))}") from error
        matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0, limits=LIMITS)
        if not matcher.is_error():
            matcher.compute_bitmask()  # some limits are noticed by the first step only
        if matcher.is_error():
            raise BadInput(f"{kind} can not be compiled: {complaint(matcher.get_error())}")
        return matcher


class GrammarConstraint:
    """A Constraint that follows a grammar through one answer."""

    def __init__(self, matcher: Any, ends: NDArray[np.bool_], has_end: bool) -> None:
        """`ends` [vocabulary]: what the grammar takes for ends of text. `has_end`: whether the model does, too."""
        self._matcher, self._ends, self._has_end = matcher, ends, has_end
        self._allowed: NDArray[np.bool_] | None = None

    def allowed(self) -> NDArray[np.bool_]:
        """[vocabulary]. Raises BadInput where the grammar has grown beyond its limits."""
        if self._allowed is None:
            packed = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
            if self._matcher.is_error():
                raise BadInput(
                    f"the constraint can not be followed any further: {complaint(self._matcher.get_error())}"
                )
            self._allowed = np.unpackbits(packed, count=len(self._ends), bitorder="little").view(np.bool_)
            if not self._has_end:
                self._allowed &= ~self._ends
        return self._allowed

    def advance(self, token: int) -> None:
        """Raises BadInput for a token that is not allowed."""
        self._allowed = None
        if not self._matcher.consume_token(token):
            raise BadInput(f"the constraint can not be followed any further: {complaint(self._matcher.get_error())}")

    @property
    def is_complete(self) -> bool:
        return bool(self._matcher.is_stopped()) or not (self.allowed() & ~self._ends).any()

    def fork(self) -> GrammarConstraint:
        forked = GrammarConstraint(self._matcher.deep_copy(), self._ends, self._has_end)
        forked._allowed = self._allowed
        return forked


def complaint(message: str) -> str:
    """What the library says, without its dumps."""
    message = " ".join(message.replace("<non-verbose/>", "").split())
    return message if len(message) <= MAX_COMPLAINT else message[:MAX_COMPLAINT] + " …"
