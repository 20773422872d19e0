"""config.json of a Llama-shaped transformers folder, as far as it decides what the network computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tasks.errors import BadInput, Unsupported
from training.models.llama import Options

ROPE_KEYS = frozenset({"rope_theta", "rope_type", "type"})
"""Of the table of rotary positions: anything else changes them."""


class LlamaConfig(msgspec.Struct, frozen=True):
    """The fields that are read; those that nobody set are as transformers has them."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    model_type: str = ""
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    rms_norm_eps: float = 1e-6
    tie_word_embeddings: bool = False
    hidden_act: str = "silu"
    attention_bias: bool = False
    mlp_bias: bool = False
    sliding_window: int | None = None
    quantization_config: dict[str, Any] | None = None
    rope_theta: float | None = None
    rope_scaling: dict[str, Any] | None = None
    rope_parameters: dict[str, Any] | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None

    @property
    def rope(self) -> Mapping[str, Any]:
        """Release 5 of transformers writes `rope_parameters`; before, there were two fields."""
        older = {**(self.rope_scaling or {}), **({} if self.rope_theta is None else {"rope_theta": self.rope_theta})}
        return self.rope_parameters or older

    @property
    def options(self) -> Options:
        """Of the architecture `llama`. Raises BadInput for sizes that do not fit together."""
        try:
            return Options(
                width=self.hidden_size,
                depth=self.num_hidden_layers,
                heads=self.num_attention_heads,
                kv_heads=self.num_key_value_heads or self.num_attention_heads,
                hidden=self.intermediate_size,
                rope_base=float(self.rope.get("rope_theta") or 10_000.0),
                norm_epsilon=self.rms_norm_eps,
                tie_embeddings=self.tie_word_embeddings,
            )
        except (ValueError, msgspec.ValidationError) as error:
            raise BadInput(f"config.json: {error}") from error


def read_llama_config(folder: Path) -> LlamaConfig:
    """Raises BadInput for a file that is no such config, Unsupported naming all that our network has no part for."""
    path = folder / "config.json"
    try:
        config = msgspec.json.decode(path.read_bytes(), type=LlamaConfig)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"{path} is not the config of a Llama-shaped language model: {error}") from error
    if found := list(find_unsupported(config)):
        raise Unsupported(f"{path}: a Llama is imported without {'; without '.join(found)}")
    return config


def find_unsupported(config: LlamaConfig) -> Iterator[str]:
    """What another network than ours would be needed for."""
    if config.model_type != "llama":
        yield f"a model_type of its own, but this is {config.model_type!r}"
    if config.hidden_act != "silu":
        yield f"another hidden_act than silu, but it is {config.hidden_act!r}"
    if config.attention_bias or config.mlp_bias:
        yield "biases (attention_bias, mlp_bias)"
    kind = config.rope.get("rope_type") or config.rope.get("type") or "default"
    if kind != "default" or config.rope.keys() - ROPE_KEYS:
        yield f"scaled rotary positions, but they are of type {kind!r}: {dict(config.rope)}"
    width = config.hidden_size // max(1, config.num_attention_heads)
    if config.head_dim not in (None, width):
        yield f"a head_dim of its own, but it is {config.head_dim}, where hidden_size ÷ heads is {width}"
    if config.sliding_window is not None:
        yield "sliding windows"
    if config.quantization_config is not None:
        yield "quantized weights: import the folder they were made from"
