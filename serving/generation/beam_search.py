"""BeamSearch: the most probable answers instead of a random one, looked for side by side in several slots.

The search is the one that `transformers` does with `early_stopping="never"`: of all continuations of all beams the best
go on; one that ends counts if it is among the best `num_beams`; the end is reached when no beam can become better than
the n best answers any more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.generation.beam import Beam
from serving.generation.request import Delta, GenerationRequest
from serving.generation.scores import Scores, best_tokens
from serving.generation.writer import Feed, Turn
from tasks.errors import BadInput
from tasks.generation import FinishReason, Generated, TokenScore


class BeamSearch:
    """A Writer. A beam's score is the sum of log-probabilities, after bias and penalties; an answer's is that sum
    divided by its length, the end token included, to the power of the length penalty."""

    def __init__(self, request: GenerationRequest, max_tokens: int) -> None:
        self._params, self._max_tokens = request.params, max_tokens
        self._end_tokens = frozenset() if request.params.ignore_end else request.end_tokens
        self._beams = [Beam.first(request)]
        self._finished: list[Generated] = []
        """The n best so far, best first."""

    def begin(self, scores: Scores) -> Turn:
        return self.advance(scores, 0)

    def advance(self, scores: Scores, first_row: int) -> Turn:
        """Raises NotReady for logits that are no numbers, BadInput where a constraint leaves nothing."""
        rows = range(first_row, first_row + len(self._beams))
        totals = np.stack([beam.totals(scores, row) for beam, row in zip(self._beams, rows, strict=True)])
        children: list[Beam] = []
        for rank, (number, token) in enumerate(self._candidates(totals)):
            if len(children) == self._params.num_beams:
                break
            total = float(totals[number, token])
            if token in self._end_tokens:
                if rank < self._params.num_beams:
                    self._finish(self._beams[number], total, "stop", num_ends=1)
                continue
            child = self._beams[number].child(scores, rows[number], token, total)
            if not child.has_ended and child.length < self._max_tokens:
                children.append(child)
            elif rank < self._params.num_beams:
                self._finish(child, total, "stop" if child.has_ended else "length", num_ends=0)
        if not children and not self._finished:
            raise BadInput("the constraint leaves no token that this model could go on with")
        if not children or self._is_decided(children):
            return self._answer()
        copies = share_out(children, self._params.num_beams)
        self._beams = children
        return Turn((), [Feed(beam.place, beam.tokens[-1].token) for beam in children], copies)

    def _candidates(self, totals: NDArray[np.float32]) -> list[tuple[int, int]]:
        """(beam, token) of the best continuations, best first: enough that `num_beams` go on even if all of those end
        which can end by a token."""
        width = self._params.num_beams * max(2, 1 + len(self._end_tokens))
        flat = totals.ravel()
        best = best_tokens(flat, width)
        best = best[np.argsort(-flat[best], kind="stable")]
        return [divmod(int(place), totals.shape[1]) for place in best if flat[place] > -np.inf]

    def _finish(self, beam: Beam, total: float, reason: FinishReason, num_ends: int) -> None:
        score = total / (beam.length + num_ends) ** self._params.length_penalty
        if len(self._finished) == self._params.n and score <= self._finished[-1].score:
            return
        self._finished.append(beam.answer(reason, score))
        self._finished.sort(key=lambda answer: -answer.score)
        del self._finished[self._params.n :]

    def _is_decided(self, children: list[Beam]) -> bool:
        """Whether not even the best of the beams could still become one of the answers, whatever its tokens."""
        if len(self._finished) < self._params.n:
            return False
        # A sum only falls. How far division can lift it again, its possible lengths say.
        length = self._max_tokens if self._params.length_penalty > 0 else children[0].length
        best: float = children[0].total / length**self._params.length_penalty
        return best <= self._finished[-1].score

    def _answer(self) -> Turn:
        deltas = []
        for choice, answer in enumerate(self._as_many_as_asked()):
            tokens = tuple(map(TokenScore, answer.tokens, answer.logprobs))
            deltas.append(Delta(choice, answer.text, tokens, answer.top_logprobs, answer))
        return Turn(deltas, ())

    def _as_many_as_asked(self) -> list[Generated]:
        """A constraint may leave fewer: then the last ones are empty, ranked behind the others by their order."""
        lowest = self._finished[-1].score
        missing = self._params.n - len(self._finished)
        return self._finished + missing * [Generated((), "", "stop", (), score=lowest)]


def share_out(children: list[Beam], num_places: int) -> list[tuple[int, int]]:
    """Give every child a place; the first of each parent stays where that was. The copies that the others need."""
    stays: dict[int, Beam] = {}
    for child in children:
        stays.setdefault(child.place, child)
    free = [place for place in range(num_places) if place not in stays]
    copies = []
    for child in children:
        if stays[child.place] is not child:
            copies.append((child.place, free.pop(0)))
            child.place = copies[-1][1]
    return copies
