"""What a decoder can not answer is refused before it waits.

Whether tokens exist is asked where prompts and parameters are read; that a decoder has them, its package proves."""

from __future__ import annotations

from serving.generation.decoder import Decoder
from serving.generation.request import GenerationRequest
from tasks.errors import BadInput


def check_request(request: GenerationRequest, decoder: Decoder) -> None:
    """Raises BadInput for what this decoder can not answer."""
    prompt, params = request.prompt, request.params
    if not prompt.tokens:
        raise BadInput("the prompt is empty; send at least one token of text")
    if prompt.length >= decoder.context:
        raise BadInput(
            f"the prompt takes {prompt.length} of the {decoder.context} tokens that prompt and answer may have"
            " together, which leaves none for an answer: shorten it"
        )
    if params.num_beams > decoder.num_slots:
        raise BadInput(f"num_beams is {params.num_beams}; this server runs at most {decoder.num_slots} side by side")
