"""Where a captioner looked while it said each word."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from training.models.llama import Block, Llama, rotate
from training.networks.captioner import Captioner

LAYERS = 2
"""The last ones: what they read goes straight into the word; earlier ones also carry words to words."""


@torch.inference_mode()
def attention_maps(network: Captioner, image: Tensor, tokens: list[int], begin_token: int) -> Tensor:
    """For one picture uint8 [H, W, 3] and the tokens said of it: FP32 [tokens, rows, columns], how much of its
    attention the position that each token was said from had on each cell of the picture, as a mean over all heads of
    the last layers. What is missing to one was spent on words."""
    decoder = network.decoder
    assert isinstance(decoder, Llama)
    features, _ = network(image.unsqueeze(0))
    num_cells = features.shape[1]
    before = torch.tensor([[begin_token, *tokens[:-1]]], device=image.device)
    x = torch.cat((features, decoder.embedding(before)), dim=1)
    length = x.shape[1]
    cosine, sine = decoder.cosine[:length], decoder.sine[:length]
    looked = []
    for block in decoder.blocks:
        assert isinstance(block, Block)
        looked.append(attention_weights(block, x, cosine, sine)[0, :, num_cells:, :num_cells].mean(dim=0))
        x = block(x, cosine, sine)
    rows, columns = network.grid
    return torch.stack(looked[-LAYERS:]).mean(dim=0).view(len(tokens), rows, columns).float()


def attention_weights(block: Block, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """What a block's attention gives every earlier position: [B, heads, S, S], each row summing to one."""
    attention = block.attention
    q, k, _ = attention.split_heads(block.attention_norm(x))
    k = k.repeat_interleave(attention.heads // attention.kv_heads, dim=1)
    scores = rotate(q, cosine, sine) @ rotate(k, cosine, sine).transpose(2, 3) / math.sqrt(attention.head_width)
    later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
    return scores.masked_fill(later, -math.inf).softmax(dim=-1)
