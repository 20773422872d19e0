"""The words of a captioner: a tokenizer.json learnt from the training captions, or one that the recipe names."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from tasks.errors import InvalidRecipe
from tasks.text import Tokenizer, train_byte_level_bpe
from training.captioning.references import references_of
from training.data.cache import cache_key, cached_folder
from training.data.source import DataSource
from training.recipe import TokenizerConfig

FILE_NAME = "tokenizer.json"


def prepare_tokenizer(source: DataSource, config: TokenizerConfig) -> Path:
    """Where the file lies; it is learnt where it was not yet. Raises InvalidRecipe."""
    if config.path:
        path = Path(config.path)
        if path.name != FILE_NAME:
            raise InvalidRecipe(f"text.tokenizer.path must name a {FILE_NAME}, not {path.name}")
        return path
    split = source.split("train")
    key = cache_key(split.digest, config.vocabulary, config.end_of_text, version("tokenizers"))

    def build(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        captions = (caption for captions in references_of(split) for caption in captions)
        learnt = train_byte_level_bpe(captions, config.vocabulary, [config.end_of_text])
        (folder / "partial.json").write_bytes(learnt)
        (folder / "partial.json").rename(folder / FILE_NAME)

    return cached_folder("tokenizers", key, FILE_NAME, build) / FILE_NAME


def find_end_token(tokenizer: Tokenizer, config: TokenizerConfig) -> int:
    """The token that begins and ends every caption. Raises InvalidRecipe where the vocabulary has none."""
    token = tokenizer.token_id(config.end_of_text)
    if token is None:
        raise InvalidRecipe(
            f"text.tokenizer.end_of_text: {config.path} has no token {config.end_of_text!r}; name one that it has"
        )
    return token
