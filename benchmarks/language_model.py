"""The language model of the benchmarks: 110 million random parameters in the shape of Llama, as a checkpoint of
`transformers`, so that every engine runs the same weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

VOCABULARY, WIDTH, DEPTH, HEADS, INNER_WIDTH, CONTEXT = 32_000, 768, 12, 12, 2_048, 1_024
END_TOKEN = 2
BYTES_PER_WEIGHT = 4


def write_checkpoint(folder: Path, seed: int = 0) -> int:
    """Writes config.json, model.safetensors and a tokenizer; returns how many weights one token reads.

    The embedding is shared with the head, which reads all of it for every token."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            intermediate_size=INNER_WIDTH,
            num_hidden_layers=DEPTH,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            max_position_embeddings=CONTEXT,
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=END_TOKEN,
            pad_token_id=0,
        )
    )
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return sum(parameter.numel() for parameter in model.parameters())


def write_tokenizer(folder: Path) -> None:
    """Single bytes, and names for all other ids: what the text is does not matter here."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    names += [f"word{index}" for index in range(VOCABULARY - len(names))]
    tokenizer = Tokenizer(models.BPE(vocab={name: index for index, name in enumerate(names)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    fast.save_pretrained(folder)


def build_for_genai(checkpoint: Path, folder: Path) -> None:
    """The same weights as onnxruntime-genai wants them, by its own model builder."""
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
    command += ["-i", str(checkpoint), "-o", str(folder), "-p", "fp32", "-e", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the model builder of onnxruntime-genai failed: {done.stderr[-2000:]}")
