"""What a trained language model is worth on texts it has not learnt from, and what it writes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from training.language.learner import total_nats
from training.language.windows import JudgingWindows
from training.networks.language_network import LanguageNetwork
from training.progress import track

MAX_LOGITS = 2**24
"""In a batch: 64 MB of them."""


def bits_per_byte(network: LanguageNetwork, texts: JudgingWindows, context: int) -> float:
    """The mean over all bytes of the texts, on the device where the network is. See JudgingWindows for what is known
    of a text when a token of it is judged."""
    device = next(network.parameters()).device
    batch_size = max(1, MAX_LOGITS // (context * network.vocabulary))
    network.eval()
    nats, num_bytes = 0.0, 0
    with torch.inference_mode():
        for start in track(range(0, len(texts), batch_size), "evaluating", math.ceil(len(texts) / batch_size)):
            indices = list(range(start, min(start + batch_size, len(texts))))
            inputs, targets, lengths = texts.__getitems__(indices)
            nats += float(total_nats(network(inputs.to(device)), targets.to(device)))
            num_bytes += int(lengths.sum())
    return nats / math.log(2) / num_bytes


def continue_tokens(
    network: LanguageNetwork, prompt: Sequence[int], num_tokens: int, temperature: float, seed: int
) -> list[int]:
    """Tokens that the network samples after a prompt; the same seed, the same tokens. The whole text is computed anew
    for each of them: slow, and no cache that could hide a mistake."""
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    tokens = list(prompt)
    network.eval()
    with torch.inference_mode():
        for _ in range(num_tokens):
            logits: Tensor = network(torch.tensor([tokens], device=device))[0, -1]
            probabilities = torch.softmax(logits.float().cpu() / temperature, dim=0)
            tokens.append(int(torch.multinomial(probabilities, 1, generator=generator)))
    return tokens[len(prompt) :]
