"""Passages: what is cut out of documents fits the model, and nothing of it is counted twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.generative.passage import MIN_CHARACTERS, cut_documents, windows
from tasks.generation import GenerativeTask, open_generative_task
from tasks.text import train_byte_level_bpe
from tasks.text_generation import TextGenerationSpec
from tests.language_subjects import document

CONTEXT = 48


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> GenerativeTask:
    folder = tmp_path_factory.mktemp("words")
    (folder / "tokenizer.json").write_bytes(train_byte_level_bpe([document(0)], 320, ["<|endoftext|>"]))
    spec = TextGenerationSpec(vocabulary=320, context=CONTEXT, begin_token=0, end_tokens=(0,))
    return open_generative_task(spec, folder)


@given(st.lists(st.text(max_size=300), max_size=5), st.integers(0, 2**32 - 1))
def test_passages_fit_the_context_whatever_the_text(task: GenerativeTask, documents: list[str], seed: int) -> None:
    for most in (CONTEXT // 2, 2 * CONTEXT):
        for passage in cut_documents(documents, task, most, seed):
            prompt = task.prompt(passage.payload.decode())
            assert passage.answer
            assert prompt.length + len(passage.answer) <= min(most, CONTEXT)
            assert passage.num_bytes == sum(len(task.tokenizer.pieces[token]) for token in passage.answer)


def test_passages_are_drawn_by_the_seed(task: GenerativeTask) -> None:
    documents = [document(seed) for seed in range(3)]
    assert cut_documents(documents, task, CONTEXT, 1) == cut_documents(documents, task, CONTEXT, 1)
    assert cut_documents(documents, task, CONTEXT, 1) != cut_documents(documents, task, CONTEXT, 2)


def test_passages_say_which_document_they_are_of(task: GenerativeTask) -> None:
    documents = [document(seed) for seed in range(3)]
    found = cut_documents(documents, task, CONTEXT, 1)
    assert {passage.place for passage in found} == {0, 1, 2}
    assert all(passage.payload.decode() in documents[passage.place] for passage in found)


def test_prompts_are_of_many_lengths(task: GenerativeTask) -> None:
    lengths = {
        len(passage.payload) for passage in cut_documents([document(seed) for seed in range(4)], task, CONTEXT, 0)
    }
    assert len(lengths) > 10


@given(st.text(min_size=1, max_size=500), st.integers(MIN_CHARACTERS, 200))
def test_windows_do_not_overlap(text: str, size: int) -> None:
    found = list(windows(text, size))
    assert sum(map(len, found)) <= len(text)
    assert all(MIN_CHARACTERS <= len(window) <= size for window in found)
