"""A local transformers folder with a Llama in it → our own network with its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from export.generative.llama_config import LlamaConfig, read_llama_config
from tasks.errors import BadInput, GateFailed
from training.models.llama import Llama

PACKED: Mapping[str, tuple[str, ...]] = {
    "attention.qkv.weight": ("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"),
    "attention.output.weight": ("self_attn.o_proj.weight",),
    "attention_norm.weight": ("input_layernorm.weight",),
    "mlp_norm.weight": ("post_attention_layernorm.weight",),
    "mlp.gate_up.weight": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
    "mlp.down.weight": ("mlp.down_proj.weight",),
}
"""Of each block: our weight, and those of transformers that are stacked in it."""
PROBES, PROBE_LENGTH = 4, 48
PARITY = 1e-3
"""Largest difference of a logit, in standard deviations of the logits: only another network is this far off."""


def open_llama(folder: Path, context: int) -> tuple[Llama, LlamaConfig]:
    """The network in evaluation mode, for at most `context` positions, and what its folder says of it.

    Raises BadInput, or Unsupported for what our network can not be; GateFailed if it answers otherwise than that of the
    folder, whatever the reason."""
    config = read_llama_config(folder)
    original = load_original(folder)
    network = Llama(config.options, config.vocab_size, min(context, config.max_position_embeddings))
    with torch.no_grad():
        network.load_state_dict(pack(original.state_dict(), config))
    check_parity(network.eval(), original)
    return network, config


def load_original(folder: Path) -> Any:
    """From the folder alone: no hub, no code of the folder, no pickles. Raises BadInput."""
    import transformers

    if not any(folder.glob("*.safetensors")):
        raise BadInput(f"{folder} has no .safetensors weights; pickled weights are not read: convert them first")
    try:
        model = transformers.LlamaForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise BadInput(f"{folder} does not open as a Llama of transformers: {error}") from error
    return model.eval()


def pack(weights: Mapping[str, Tensor], config: LlamaConfig) -> dict[str, Tensor]:
    """Weights as LlamaForCausalLM names them → as ours does."""
    packed = {"embedding.weight": weights["model.embed_tokens.weight"], "norm.weight": weights["model.norm.weight"]}
    if not config.tie_word_embeddings:
        packed["head.weight"] = weights["lm_head.weight"]
    for level in range(config.num_hidden_layers):
        for ours, theirs in PACKED.items():
            parts = [weights[f"model.layers.{level}.{name}"] for name in theirs]
            packed[f"blocks.{level}.{ours}"] = torch.cat(parts)
    return packed


@torch.inference_mode()
def check_parity(network: Llama, original: Any) -> None:
    """Both read the same random tokens. Raises GateFailed."""
    torch.manual_seed(0)
    tokens = torch.randint(network.vocabulary, (PROBES, min(PROBE_LENGTH, network.context)))
    ours, theirs = network(tokens), original(tokens).logits
    difference, spread = float((ours - theirs).abs().max()), float(theirs.std())
    if not difference <= PARITY * spread:
        raise GateFailed(
            f"the network answers otherwise than that of transformers: by {difference:.3g}, where logits spread by "
            f"{spread:.3g}"
        )
