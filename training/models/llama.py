"""A decoder-only transformer in the shape of Llama: RMSNorm, RoPE, grouped-query attention, SwiGLU.

Touvron et al., "LLaMA" (2023); Zhang and Sennrich, "Root mean square layer normalization" (2019); Su et al., "RoFormer"
(2021); Ainslie et al., "GQA" (2023); Shazeer, "GLU variants improve transformer" (2020). Weights of `LlamaForCausalLM`
fit after query, key and value (and gate and up) have been put on top of each other.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from training.networks.architecture import Options as ArchitectureOptions
from training.networks.config import Building
from training.networks.language_network import LanguageNetwork
from training.networks.shrink import scale_width

BUILDS: Building = "language_model"
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
HEAD_STEP = 16
"""Widths of a head are multiples of this: others are refused by GroupQueryAttention of ONNX Runtime, which the exported
graph runs on, and nobody should learn that after hours of training."""


class Options(ArchitectureOptions, frozen=True, kw_only=True):
    """`width` is divided among `heads`, which share `kv_heads` keys and values; `hidden` is the inner width of the
    feed-forward part, 0 for ⅔ of four times the width, rounded up to a multiple of 32. `dropout` of what attention and
    feed-forward part add."""

    width: AtLeastOne = 192
    depth: AtLeastOne = 4
    heads: AtLeastOne = 6
    kv_heads: AtLeastOne = 2
    hidden: Annotated[int, msgspec.Meta(ge=0)] = 0
    rope_base: Positive = 10_000.0
    norm_epsilon: Positive = 1e-5
    tie_embeddings: bool = True
    dropout: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    checkpoint_gradients: bool = False
    """Compute activations again in the backward pass instead of keeping them."""

    def __post_init__(self) -> None:
        step = self.heads * HEAD_STEP
        if self.width % step:
            below = self.width // step * step
            raise ValueError(
                f"width ({self.width}) must be heads ({self.heads}) times a multiple of {HEAD_STEP}, as exported "
                f"graphs need it: take {f'{below} or ' if below else ''}{below + step}, or another number of heads"
            )
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})")

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def inner_width(self) -> int:
        """Of the feed-forward part."""
        return self.hidden or -(-self.width * 8 // 3 // 32) * 32


class RMSNorm(nn.Module):
    """x ÷ root mean square of x, times a learnt weight."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self.weight, self.epsilon)


class Attention(nn.Module):
    """Causal grouped-query attention with rotary positions."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_width = options.heads, options.kv_heads, options.head_width
        self.qkv = nn.Linear(options.width, (self.heads + 2 * self.kv_heads) * self.head_width, bias=False)
        self.output = nn.Linear(self.heads * self.head_width, options.width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = self.split_heads(x)
        attended = functional.scaled_dot_product_attention(
            rotate(q, cosine, sine),
            rotate(k, cosine, sine),
            v,
            is_causal=True,
            enable_gqa=self.heads != self.kv_heads,
        )
        joined: Tensor = self.output(attended.transpose(1, 2).reshape(batch, length, -1))
        return joined

    def split_heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, S, width] → queries [B, heads, S, head_width], keys and values [B, kv_heads, S, head_width]."""
        batch, length, _ = x.shape
        packed = self.qkv(x).view(batch, length, -1, self.head_width).transpose(1, 2)
        q, k, v = packed.split([self.heads, self.kv_heads, self.kv_heads], dim=1)
        return q, k, v


class FeedForward(nn.Module):
    """down(silu(gate(x)) · up(x))."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.gate_up = nn.Linear(options.width, 2 * options.inner_width, bias=False)
        self.down = nn.Linear(options.inner_width, options.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        shrunk: Tensor = self.down(functional.silu(gate) * up)
        return shrunk


class Block(nn.Module):
    """Attention and feed-forward part, each on normalised input and added to it."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(options.width, options.norm_epsilon)
        self.attention = Attention(options)
        self.mlp_norm = RMSNorm(options.width, options.norm_epsilon)
        self.mlp = FeedForward(options)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), cosine, sine))
        added: Tensor = x + self.dropout(self.mlp(self.mlp_norm(x)))
        return added


class Llama(LanguageNetwork):
    """See LanguageNetwork. Features are attended to like tokens that stand before all others."""

    def __init__(self, options: Options, vocabulary: int, context: int) -> None:
        super().__init__()
        self.options, self.vocabulary, self.context, self.width = options, vocabulary, context, options.width
        self.embedding = nn.Embedding(vocabulary, options.width)
        self.blocks = nn.ModuleList(Block(options) for _ in range(options.depth))
        self.norm = RMSNorm(options.width, options.norm_epsilon)
        self.head = None if options.tie_embeddings else nn.Linear(options.width, vocabulary, bias=False)
        cosine, sine = rotary_tables(context, options.head_width, options.rope_base)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)
        self.cosine: Tensor
        self.sine: Tensor
        self.apply(initialise)
        # Residual branches add up: their last layers start smaller, the more there are (Radford et al., 2019).
        for name, parameter in self.named_parameters():
            if name.endswith(("attention.output.weight", "mlp.down.weight")):
                nn.init.normal_(parameter, std=0.02 / (2 * options.depth) ** 0.5)

    @property
    def head_weight(self) -> Tensor:
        """[vocabulary, width]: the embeddings again where they are tied."""
        weight: Tensor = self.embedding.weight if self.head is None else self.head.weight
        return weight

    def blocks_to_shard(self) -> tuple[nn.Module, ...]:
        return tuple(self.blocks)

    def forward(self, tokens: Tensor, features: Tensor | None = None) -> Tensor:
        x = self.embedding(tokens)
        if features is not None:
            x = torch.cat([features, x], dim=1)
        length = x.shape[1]
        for block in self.blocks:
            arguments = (x, self.cosine[:length], self.sine[:length])
            if self.options.checkpoint_gradients and torch.is_grad_enabled():
                x = checkpoint(block, *arguments, use_reentrant=False)
            else:
                x = block(*arguments)
        return functional.linear(self.norm(x[:, length - tokens.shape[1] :]), self.head_weight)


def build(options: Options, vocabulary: int, context: int) -> Llama:
    return Llama(options, vocabulary, context)


def initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)


def rotary_tables(context: int, head_width: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine FP32 [context, head_width / 2] of position × frequency."""
    frequencies = base ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), frequencies)
    return angles.cos().float(), angles.sin().float()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """RoPE on [B, heads, S, head_width]: the first half of a head is paired with the second, as Llama does."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


def shrink(options: Options, factor: float) -> Options:
    """See training/networks/shrink.py. There are fewer heads, each as wide as it was: exported graphs want their widths
    in steps. A single head becomes narrower."""
    heads = max(1, round(options.heads * factor))
    head_width = options.head_width
    if options.heads == 1:
        head_width = max(HEAD_STEP, round(head_width * factor / HEAD_STEP) * HEAD_STEP)
    wanted = max(1, round(options.kv_heads * factor))
    return msgspec.structs.replace(
        options,
        width=heads * head_width,
        heads=heads,
        kv_heads=next(count for count in range(wanted, 0, -1) if heads % count == 0),
        # Zero goes on meaning a share of the width.
        hidden=scale_width(options.hidden, factor) if options.hidden else 0,
    )
