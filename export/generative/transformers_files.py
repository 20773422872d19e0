"""What a transformers folder says of texts: its tokenizer, the tokens that begin and end one, its chat template."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec

from export.generative.llama_config import LlamaConfig
from tasks.errors import BadInput
from tasks.generation_params import Default
from tasks.text_generation import TextGenerationSpec

TOKENIZER, CHAT_TEMPLATE = "tokenizer.json", "chat_template.jinja"
SAMPLING: tuple[Default, ...] = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
"""Fields of generation_config.json that are called the same here."""


def spec_of(folder: Path, config: LlamaConfig, context: int, assets: Path) -> TextGenerationSpec:
    """The task that the folder's model is for; copies the files that it names into the folder `assets`. Raises
    BadInput."""
    generation = read_json(folder / "generation_config.json")
    ends = generation.get("eos_token_id", config.eos_token_id)
    shutil.copyfile(tokenizer_file(folder), assets / TOKENIZER)
    has_template = copy_chat_template(folder, assets / CHAT_TEMPLATE)
    try:
        return TextGenerationSpec(
            vocabulary=config.vocab_size,
            context=context,
            tokenizer=TOKENIZER,
            begin_token=begin_token(folder),
            end_tokens=tuple([] if ends is None else ends if isinstance(ends, list) else [ends]),
            defaults=sampling_of(generation),
            chat_template=CHAT_TEMPLATE if has_template else None,
        )
    except ValueError as error:
        raise BadInput(f"{folder}: {error}") from error


def tokenizer_file(folder: Path) -> Path:
    path = folder / TOKENIZER
    if not path.is_file():
        raise BadInput(
            f"{folder} has no {TOKENIZER}: open the folder's tokenizer in transformers and save it with save_pretrained"
        )
    return path


def begin_token(folder: Path) -> int | None:
    """What the folder's tokenizer puts before every text. Raises BadInput where that is more than one token."""
    tokenizer = load_tokenizer(folder)
    bare, whole = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    before = whole[: len(whole) - len(bare)] if whole[-len(bare) :] == bare else []
    if len(before) > 1:
        raise BadInput(f"{folder}: the tokenizer puts {len(before)} tokens before a text; one at most is supported")
    return int(before[0]) if before else None


def load_tokenizer(folder: Path) -> Any:
    """As transformers would use it. Raises BadInput."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        if (folder / "tokenizer_config.json").is_file():
            return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_file(folder)))
    except Exception as error:  # the tokenizers library raises bare exceptions
        raise BadInput(f"{folder}: its tokenizer does not open in transformers: {error}") from error


def copy_chat_template(folder: Path, target: Path) -> bool:
    """From chat_template.jinja, or from tokenizer_config.json where older releases kept it. False: there is none."""
    template = folder / CHAT_TEMPLATE
    if template.is_file():
        shutil.copyfile(template, target)
        return True
    kept = read_json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(kept, str):
        target.write_text(kept, encoding="utf-8")
    return isinstance(kept, str)


def sampling_of(generation: dict[str, Any]) -> dict[Default, float]:
    """What the model's authors sample with, where they sample at all."""
    if not generation.get("do_sample"):
        return {}
    return {name: float(generation[name]) for name in SAMPLING if isinstance(generation.get(name), int | float)}


def read_json(path: Path) -> dict[str, Any]:
    """Empty where there is no such file. Raises BadInput for one that is no JSON object."""
    if not path.is_file():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"{path} is not a JSON object: {error}") from error
