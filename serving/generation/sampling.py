"""Logits → token: what the parameters of a request make of the model's distribution, and the choice from it.

A row is chosen from by its own random numbers and its own logits alone: what else is in the batch changes nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.generation.penalties import Penalties
from serving.generation.scores import Scores, best_tokens
from tasks.errors import BadInput
from tasks.generation_params import GenerationParams

Mask = NDArray[np.bool_]


class Sampler:
    """Chooses the tokens of one answer. `choice`: which of the `n` answers; each has random numbers of its own."""

    def __init__(self, params: GenerationParams, prompt: tuple[int, ...], choice: int) -> None:
        self._params = params
        self._adjustment = Adjustment(params, prompt)
        entropy = None if params.seed is None else (params.seed, choice)
        self._random = None if params.is_greedy else np.random.Generator(np.random.PCG64(entropy))

    def choose(self, scores: Scores, row: int, allowed: Mask | None) -> int:
        """The next token; `allowed` [vocabulary] are those that a constraint permits.

        Raises NotReady for logits that are no numbers, BadInput where nothing is allowed."""
        scores.check(row)
        unchanged = scores.logits[row]
        logits = self._adjustment.adjusted(unchanged, allowed)
        if self._random is not None:
            return sample(logits, self._params, self._random.random())
        # Unchanged logits have been searched together with all others of the run.
        return int(scores.best[row] if logits is unchanged else logits.argmax())

    def advance(self, token: int) -> None:
        """The answer goes on with this token."""
        self._adjustment.advance(token)


class Adjustment:
    """What changes logits before anything is chosen by them: bias, penalties, and what a constraint forbids."""

    def __init__(self, params: GenerationParams, prompt: tuple[int, ...]) -> None:
        self._biased = np.array(list(params.logit_bias), np.intp)
        self._bias = np.array(list(params.logit_bias.values()), np.float32)
        self._penalties = Penalties(params, prompt) if Penalties.are_asked_for(params) else None

    def adjusted(self, logits: NDArray[np.float32], allowed: Mask | None) -> NDArray[np.float32]:
        """[vocabulary] → a changed copy, or the very same array where nothing changes.

        Raises BadInput if no token is left."""
        if not len(self._biased) and self._penalties is None and allowed is None:
            return logits
        logits = logits.copy()
        logits[self._biased] += self._bias
        if self._penalties is not None:
            self._penalties.apply(logits)
        if allowed is not None:
            logits[~allowed] = -np.inf
            if not np.isfinite(logits.max()):
                raise BadInput("the constraint leaves no token that this model could go on with")
        return logits

    def advance(self, token: int) -> None:
        if self._penalties is not None:
            self._penalties.advance(token)

    def fork(self) -> Adjustment:
        """A copy that goes its own way, as beams do."""
        copied = object.__new__(Adjustment)
        copied._biased, copied._bias = self._biased, self._bias
        copied._penalties = None if self._penalties is None else self._penalties.fork()
        return copied


def sample(logits: NDArray[np.float32], params: GenerationParams, uniform: float) -> int:
    """The token at which the distribution function, summed in the order of ids, passes `uniform` (0 ≤ u < 1).

    Temperature, then top_k, top_p and min_p, each of what the one before it has left."""
    with np.errstate(over="ignore", under="ignore"):
        logits = (logits - logits.max()) / np.float32(max(params.temperature, SMALLEST_TEMPERATURE))
        tokens = None
        if params.top_k and params.top_k < len(logits):
            tokens = best_tokens(logits, params.top_k)
            logits = logits[tokens]
        weights = np.exp(logits)
    if params.top_p < 1 or params.min_p > 0:
        size = min(nucleus_size(weights, params.top_p), int(np.count_nonzero(weights >= params.min_p)))
        kept = best_tokens(logits, size)
        tokens = kept if tokens is None else tokens[kept]
        weights = weights[kept]
    place = passed_at(weights, uniform)
    return place if tokens is None else int(tokens[place])


SMALLEST_TEMPERATURE = 1e-6
"""Below it a difference of logits that a float can hold is as good as infinite."""
BLOCK = 256


def passed_at(weights: NDArray[np.float32], uniform: float) -> int:
    """The first index up to which the weights sum to more than `uniform` of their whole sum: first the block of weights
    is found, then the place in it."""
    starts = np.arange(0, len(weights), BLOCK)
    sums = np.add.reduceat(weights, starts, dtype=np.float64).cumsum()
    wanted = uniform * sums[-1]
    # A product that is rounded up to the whole sum would point behind the last weight.
    block = int(np.searchsorted(sums, min(wanted, np.nextafter(sums[-1], 0)), side="right"))
    inside = weights[block * BLOCK : (block + 1) * BLOCK].cumsum(dtype=np.float64)
    wanted -= sums[block - 1] if block else 0.0
    return block * BLOCK + int(np.searchsorted(inside, min(wanted, np.nextafter(inside[-1], 0)), side="right"))


def nucleus_size(weights: NDArray[np.float32], top_p: float) -> int:
    """How many of the best tokens together have a share `top_p` of all weights, the largest of which is 1."""
    if top_p >= 1:
        return len(weights)
    wanted = top_p * weights.sum(dtype=np.float64)
    for smallest in (1e-2, 1e-4, -1.0):
        # Sorting is what costs: the tail, which is long, mostly does not matter.
        leading = weights[weights > smallest]
        if leading.sum(dtype=np.float64) >= wanted:
            break
    sums = np.sort(leading)[::-1].cumsum(dtype=np.float64)
    return min(int(np.searchsorted(sums, wanted)) + 1, len(leading))
