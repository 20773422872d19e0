"""Greedy captions in torch: what the trained model says, which every exported graph is held to."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor
from torch.nn import functional

from training.models.llama import Attention, Block, Llama, rotate
from training.networks.captioner import Captioner


class CachedDecoder:
    """A Llama that goes on from where it stopped: keys and values of all rows so far, which are equally long."""

    def __init__(self, decoder: Llama) -> None:
        self._decoder = decoder
        self._length = 0
        self._cache: list[tuple[Tensor, Tensor] | None] = [None] * len(decoder.blocks)

    def advance(self, x: Tensor) -> Tensor:
        """Embeddings [B, S, width] → logits [B, vocabulary] after the last one. Several at once only at first."""
        decoder, length = self._decoder, x.shape[1]
        assert length == 1 or self._length == 0
        tables = (each[self._length : self._length + length] for each in (decoder.cosine, decoder.sine))
        cosine, sine = tables
        for index, block in enumerate(decoder.blocks):
            assert isinstance(block, Block)
            x = x + self._attend(index, block.attention, block.attention_norm(x), cosine, sine)
            x = x + block.mlp(block.mlp_norm(x))
        self._length += length
        return functional.linear(decoder.norm(x[:, -1]), decoder.head_weight)

    def _attend(self, index: int, attention: Attention, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        q, k, v = attention.split_heads(x)
        k = rotate(k, cosine, sine)
        before = self._cache[index]
        if before is not None:
            k, v = torch.cat((before[0], k), dim=2), torch.cat((before[1], v), dim=2)
        self._cache[index] = k, v
        attended = functional.scaled_dot_product_attention(
            rotate(q, cosine, sine), k, v, is_causal=before is None, enable_gqa=True
        )
        joined: Tensor = attention.output(attended.transpose(1, 2).flatten(2))
        return joined


@torch.inference_mode()
def caption_greedily(
    network: Captioner, images: Tensor, begin_token: int, end_tokens: Collection[int], max_tokens: int
) -> list[list[int]]:
    """Pictures uint8 [B, H, W, 3] on the network's device → the tokens of their captions, without the one that ended
    them; at most `max_tokens` of each."""
    decoder = network.decoder
    assert isinstance(decoder, Llama)
    features, _ = network(images)
    cached = CachedDecoder(decoder)
    begin = torch.full((len(images), 1), begin_token, device=images.device)
    logits = cached.advance(torch.cat((features, decoder.embedding(begin)), dim=1))
    captions: list[list[int]] = [[] for _ in range(len(images))]
    running = set(range(len(images)))
    for _ in range(max_tokens):
        best = logits.argmax(dim=-1)
        said = best.tolist()
        running = {row for row in running if said[row] not in end_tokens}
        for row in running:
            captions[row].append(said[row])
        if not running:
            break
        logits = cached.advance(decoder.embedding(best.unsqueeze(1)))
    return captions
