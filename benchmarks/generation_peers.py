"""How others generate: `transformers` on torch, and onnxruntime-genai. Each takes prompts as rows of token ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64]
"""[rows, length]"""


class Transformers:
    """`generate` of transformers, greedy, with its default key-value cache."""

    def __init__(self, checkpoint: Path, num_threads: int) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(num_threads)
        self._torch: Any = torch
        self._model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()

    def generate(self, prompts: Tokens, num_new: int) -> Tokens:
        """[rows, num_new]"""
        inputs = self._torch.from_numpy(prompts)
        with self._torch.inference_mode():
            outputs = self._model.generate(
                inputs,
                attention_mask=self._torch.ones_like(inputs),
                max_new_tokens=num_new,
                min_new_tokens=num_new,
                do_sample=False,
            )
        tokens: Tokens = outputs[:, prompts.shape[1] :].numpy()
        return tokens


class Genai:
    """The `Generator` of onnxruntime-genai, greedy, on a graph of its own model builder."""

    def __init__(self, folder: Path, num_threads: int) -> None:
        import onnxruntime_genai as genai

        config = genai.Config(str(folder))
        config.overlay(f'{{"model": {{"decoder": {{"session_options": {{"intra_op_num_threads": {num_threads}}}}}}}}}')
        self._genai: Any = genai
        self._model = genai.Model(config)

    def generate(self, prompts: Tokens, num_new: int) -> Tokens:
        """[rows, num_new]"""
        rows, length = prompts.shape
        params = self._genai.GeneratorParams(self._model)
        params.set_search_options(
            do_sample=False, batch_size=rows, max_length=length + num_new, min_length=length + num_new
        )
        generator = self._genai.Generator(self._model, params)
        generator.append_tokens(prompts.astype(np.int32))
        while not generator.is_done():
            generator.generate_next_token()
        return np.array([generator.get_sequence(row)[length:] for row in range(rows)], np.int64)
