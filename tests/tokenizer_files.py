"""Tokenizers of every kind that the project streams text of, trained in the test on a few sentences."""

from __future__ import annotations

from pathlib import Path

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from tasks.text import Tokenizer, train_byte_level_bpe

CORPUS = [
    "the quick brown fox jumps over the lazy dog. do not panic, it's only a test!",
    "naïve café, Grüße aus Köln; 日本語のテキスト and 😀 smileys 🎉",
    "print('hello world')\n    return x + 1  # indented\n\n",
] * 8


def byte_level(folder: Path) -> Tokenizer:
    """Every token is bytes: a character may take up to four of them. One added token is text, one is special."""
    trained = tokenizers.Tokenizer.from_buffer(train_byte_level_bpe(CORPUS, 320, ["<|end|>"]))
    trained.add_tokens(["new word", "日本語"])
    return saved(trained, folder)


def sentence_piece(folder: Path) -> Tokenizer:
    """Pieces and byte fallback; the decoder drops one space at the beginning of a text, as Llama 2's does."""
    trained = tokenizers.Tokenizer(models.Unigram([("<unk>", 0.0)], 0, True))
    trained.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=True)
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<unk>", "<s>"], unk_token="<unk>", show_progress=False
    )
    trained.train_from_iterator(CORPUS[:1] * 8, trainer)
    pieces = [(piece, -5.0) for piece in trained.get_vocab() if piece not in ("<unk>", "<s>")]
    model = models.Unigram(
        [("<unk>", 0.0), ("<s>", 0.0), *((byte, -9.0) for byte in fallback), *sorted(pieces)], 0, True
    )
    whole = tokenizers.Tokenizer(model)
    whole.normalizer, whole.pre_tokenizer = trained.normalizer, None
    whole.add_special_tokens(["<s>"])
    whole.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return saved(whole, folder)


def metaspace(folder: Path) -> Tokenizer:
    """Words that begin with ▁, and none for what was not in the corpus; the first word of a text loses its space."""
    trained = tokenizers.Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False
    )
    trained.train_from_iterator(CORPUS, trainer)
    return saved(trained, folder)


def word_piece(folder: Path) -> Tokenizer:
    """Words, and parts of words that begin with ##; the decoder puts the spaces, and takes those before signs away."""
    trained = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.normalizer = normalizers.BertNormalizer()
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trained.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]", "[CLS]"], show_progress=False)
    trained.train_from_iterator(CORPUS, trainer)
    return saved(trained, folder)


def word_level(folder: Path) -> Tokenizer:
    """Whole words, and no decoder: the library puts a space between any two."""
    trained = tokenizers.Tokenizer(models.WordLevel(unk_token="[UNK]"))
    trained.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(vocab_size=200, special_tokens=["[UNK]"], show_progress=False)
    trained.train_from_iterator(CORPUS, trainer)
    return saved(trained, folder)


KINDS = {kind.__name__: kind for kind in (byte_level, sentence_piece, metaspace, word_piece, word_level)}


def saved(trained: tokenizers.Tokenizer, folder: Path) -> Tokenizer:
    trained.save(str(folder / "tokenizer.json"))
    return Tokenizer(folder / "tokenizer.json")
