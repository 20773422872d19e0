"""What a decoder can not answer is refused before it waits: a strange token would fail all that run beside it."""

from __future__ import annotations

import numpy as np

from serving.generation.decoder import Decoder
from serving.generation.request import GenerationRequest
from tasks.errors import BadInput
from tasks.generation_params import MAX_BIAS


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
    tokens = np.array([*prompt.tokens, *params.logit_bias], np.int64)
    unknown = tokens[(tokens < 0) | (tokens >= decoder.vocabulary)]
    if len(unknown):
        raise BadInput(f"token {unknown[0]} does not exist: this model has tokens 0 … {decoder.vocabulary - 1}")
    if any(not abs(bias) <= MAX_BIAS for bias in params.logit_bias.values()):
        raise BadInput(f"a logit_bias must lie between −{MAX_BIAS} and {MAX_BIAS}: that forbids a token, or all others")
