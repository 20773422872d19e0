"""Small random Llamas as `save_pretrained` leaves them, with a tokenizer: nothing can be downloaded here. Weights are
shaken, as a fresh model says the same after everything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tasks.text import train_byte_level_bpe
from tests.language_subjects import document

VOCABULARY = 320
CHAT_TEMPLATE = "{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}[assistant] "


def llama(**changes: Any) -> LlamaForCausalLM:
    facts: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "tie_word_embeddings": False,
        "rope_parameters": {"rope_type": "default", "rope_theta": 5_000.0},
        "rms_norm_eps": 1e-6,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**{**facts, **changes}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4) if parameter.ndim > 1 else parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def save_folder(model: LlamaForCausalLM, folder: Path) -> Path:
    """Model, tokenizer and chat template, in a new folder."""
    folder.mkdir()
    model.save_pretrained(folder)
    file = folder / "tokenizer.json"
    file.write_bytes(train_byte_level_bpe([document(seed) for seed in range(5)], VOCABULARY, ["<|endoftext|>"]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(file), eos_token="<|endoftext|>")
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


def change_config(folder: Path, **changes: Any) -> None:
    """Fields of config.json; None takes one away."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))


def save_texts(folder: Path, count: int = 12) -> Path:
    folder.mkdir()
    for seed in range(100, 100 + count):
        (folder / f"{seed}.txt").write_text(document(seed), encoding="utf-8")
    return folder
