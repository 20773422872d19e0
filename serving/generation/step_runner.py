"""StepRunner: carries out what the scheduler has planned, on the decoder."""

from __future__ import annotations

import logging
from time import monotonic

from serving.generation.decoder import Decoder, Logits
from serving.generation.plan import Piece, Plan, Ran
from tasks.errors import NotReady, TidegateError

log = logging.getLogger(__name__)


class StepRunner:
    """Turns whatever a runtime raises into an error for those whom it concerns, and measures."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    def run(self, plan: Plan) -> Ran:
        """Copies, then one token for all that are running, then pieces of prompts."""
        ran = Ran()
        started_at = monotonic()
        try:
            for copy in plan.copies:
                self._decoder.copy(copy.source, copy.target)
            if plan.steps:
                started_at = monotonic()
                ran.logits = self._decoder.decode(plan.steps, plan.held)
        except Exception as error:
            log.exception("a decoding run of %d rows failed", len(plan.steps))
            ran.logits = NotReady(f"the runtime failed on this step: {error}")
            return ran
        ran.decode_s = monotonic() - started_at
        for piece in plan.pieces:
            started_at = monotonic()
            ran.pieces.append(self._prefill(piece))
            ran.prefill_s.append(monotonic() - started_at)
        return ran

    def _prefill(self, piece: Piece) -> Logits | TidegateError | None:
        slot = piece.sequence.slots[0]
        try:
            return self._decoder.prefill(slot, piece.tokens, piece.start, piece.features, piece.is_last)
        except Exception as error:
            log.exception("a piece of %d positions of a prompt failed", piece.stop - piece.start)
            return NotReady(f"the runtime failed on this prompt: {error}")
