from __future__ import annotations

from tasks.text import Tokenizer
from training.data.source import Example, MemorySplit
from training.language.token_stream import open_token_stream
from training.recipe import TokenizerConfig
from training.tokenizer_file import open_tokenizer_file

TEXTS = ["the cat sat on the mat", "é", "the dog"]


def test_texts_come_back_from_between_their_ends() -> None:
    path = open_tokenizer_file(TokenizerConfig(vocabulary=270), lambda: TEXTS, "stream")
    tokenizer = Tokenizer(path)
    end = tokenizer.token_id("<|endoftext|>")
    assert end is not None
    split = MemorySplit(Example(text.encode(), None) for text in TEXTS)
    for _ in range(2):
        stream = open_token_stream(split, path, end)
        tokens = stream.tokens.tolist()
        assert [tokens[place] for place in stream.starts] == [end] * 4
        assert tokens.count(end) == 4
        assert stream.num_bytes.tolist() == [22, 2, 7]
        found = [tokens[a + 1 : b] for a, b in zip(stream.starts, stream.starts[1:], strict=False)]
        assert [tokenizer.decode(each) for each in found] == TEXTS
