"""What goes into the generator and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from serving.deadline import Deadline
from tasks.generation import Generated, Prompt, TokenScore
from tasks.generation_params import GenerationParams
from tasks.text import Detokeniser


class Constraint(Protocol):
    """Which tokens may come next in one answer. Stateful; used by one thread."""

    def allowed(self) -> NDArray[np.bool_]:
        """[vocabulary]; ends of text are allowed where the answer may stop."""
        ...

    def advance(self, token: int) -> None: ...

    @property
    def is_complete(self) -> bool:
        """Whether nothing may follow any more."""
        ...

    def fork(self) -> Constraint:
        """A copy that goes its own way, as beams do."""
        ...


@dataclass(frozen=True)
class GenerationRequest:
    """One prompt. `constraint` makes a new one for each answer; None: anything goes."""

    prompt: Prompt
    params: GenerationParams
    end_tokens: frozenset[int]
    detokeniser: Callable[[], Detokeniser]
    constraint: Callable[[], Constraint] | None = None
    deadline: Deadline = field(default_factory=Deadline)


class Delta(NamedTuple):
    """What one step added to one answer. The last one of an answer carries it whole; beams come as nothing else."""

    choice: int
    """Which of the `n` answers."""
    text: str
    """May be empty: half a character or the beginning of a stop text is held back."""
    tokens: tuple[TokenScore, ...]
    """The tokens that are new, whether or not their text is out yet."""
    top_logprobs: tuple[tuple[TokenScore, ...], ...]
    """The best at each of these places, where they were asked for."""
    finished: Generated | None


class Usage(NamedTuple):
    """What a request took."""

    prompt_tokens: int
    """Positions of the prompt, features included."""
    cached_tokens: int
    """Of them, those that another request had left in a slot."""
    completion_tokens: int
