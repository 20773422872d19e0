from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.captioning import CaptioningSpec
from tasks.image import ImageSpec, place_image
from tasks.text import Tokenizer, train_byte_level_bpe
from training.captioning.learner import choose_captions, token_loss
from training.captioning.targets import PADDING, CaptionTargets, shift_right
from training.data.annotation import Annotation, join_captions

END = 0
IMAGE = ImageSpec(height=8, width=8)
SPEC = CaptioningSpec(vocabulary=300, context=40, begin_token=END, end_tokens=(END,), image=IMAGE, positions=4)
WIDE = msgspec.structs.replace(SPEC, context=200)
PLACEMENT = place_image(10, 10, IMAGE)


LINES = st.text(min_size=1, max_size=12).filter(lambda text: len(text.splitlines()) == 1 and text[-1:] not in "\r\n")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("words") / "tokenizer.json"
    path.write_bytes(train_byte_level_bpe(["a cat sits"], 300, ["<|endoftext|>"]))
    return Tokenizer(path)


@settings(max_examples=50)
@given(said=st.lists(st.lists(LINES, min_size=1, max_size=3), min_size=1, max_size=4))
def test_any_captions_of_any_batch_come_back(tokenizer: Tokenizer, said: list[list[str]]) -> None:
    codec = CaptionTargets(tokenizer, "digest", WIDE)
    (tokens,) = codec.collate([codec.encode(annotation(*captions), PLACEMENT) for captions in said])
    found = [[tokenizer.decode(row[row > END].tolist()) for row in rows if row[0] != PADDING] for rows in tokens]
    assert found == [list(annotation(*captions).captions) for captions in said]


def annotation(*captions: str) -> Annotation:
    nothing = np.zeros(0)
    return Annotation(
        nothing.reshape(0, 4), nothing.astype(np.int64), nothing.astype(bool), b"", join_captions(captions)
    )


def test_captions_come_back_whole_and_end_once(tokenizer: Tokenizer) -> None:
    codec = CaptionTargets(tokenizer, "digest", SPEC)
    said = [["a cat"], ["a cat sits", "naïve ☕", "x"]]
    (tokens,) = codec.collate([codec.encode(annotation(*captions), PLACEMENT) for captions in said])
    assert tokens.shape[:2] == (2, 3)
    assert (tokens[0, 1:] == PADDING).all()
    for row, captions in zip(tokens, said, strict=True):
        for caption, text in zip(row, captions, strict=False):
            kept = caption[caption != PADDING].tolist()
            assert kept[-1] == END
            assert kept.count(END) == 1
            assert tokenizer.decode(kept[:-1]) == text


def test_every_token_is_guessed_from_those_before_it() -> None:
    captions = torch.tensor([[5, 6, END], [7, END, PADDING]])
    assert shift_right(captions, 9).tolist() == [[9, 5, 6], [9, 7, END]]


def test_padding_teaches_nothing() -> None:
    captions = torch.tensor([[1, END, PADDING]])
    logits = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0))
    changed = logits.clone()
    changed[0, 2] += 100 * torch.randn(4, generator=torch.Generator().manual_seed(1))
    assert token_loss(logits, captions) == token_loss(changed, captions)


def test_each_caption_of_a_picture_has_its_turn_and_padding_none() -> None:
    captions = torch.tensor([[[1, END, PADDING], [2, 3, END]], [[4, END, PADDING], [PADDING] * 3]])
    generator = torch.Generator().manual_seed(0)
    drawn = [choose_captions(captions, generator) for _ in range(50)]
    assert {int(each[0, 0]) for each in drawn} == {1, 2}
    assert {int(each[1, 0]) for each in drawn} == {4}
    assert {each.shape[1] for each in drawn} == {2, 3}
