from __future__ import annotations

import asyncio
import itertools
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.generation.fake_decoder import FakeDecoder, Held, random_logits
from serving.generation.request import Delta
from serving.generation.statistics import GenerationStatistics
from tasks.errors import BadInput
from tasks.generation import Generated
from tests.serving.generation.bench import END, LETTERS, Bench

VOCABULARY = 5


def small_logits(held: Held) -> np.ndarray[Any, np.dtype[np.float32]]:
    return random_logits(held, VOCABULARY)


def logprobs(held: Held) -> np.ndarray[Any, np.dtype[np.float64]]:
    logits = small_logits(held).astype(np.float64)
    return logits - np.log(np.exp(logits).sum())


def search(prompt: tuple[int, ...], num_slots: int = 16, **params: Any) -> tuple[list[Generated], FakeDecoder]:
    async def searched() -> list[Generated]:
        bench = Bench(decoder)
        answers = await bench.submit(prompt, **params).wait()
        await bench.close()
        return answers

    decoder = FakeDecoder(num_slots, logits_of=small_logits)
    return asyncio.run(searched()), decoder


def all_answers(prompt: tuple[int, ...], max_tokens: int, length_penalty: float) -> list[tuple[float, str]]:
    """Score and text of every answer there is, best first."""
    found = []
    for length in range(max_tokens + 1):
        for tokens in itertools.product(range(1, VOCABULARY), repeat=length):
            ending = () if length == max_tokens else (END,)
            total, held = 0.0, prompt
            for token in (*tokens, *ending):
                total, held = total + logprobs(held)[token], (*held, token)
            score = total / len((*tokens, *ending)) ** length_penalty
            found.append((score, "".join(LETTERS[token] for token in tokens)))
    return sorted(found, reverse=True)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]))
def test_with_a_beam_for_every_beginning_the_best_answers_are_found(prompt: list[int], length_penalty: float) -> None:
    answers, _ = search(tuple(prompt), num_beams=16, n=3, max_tokens=3, length_penalty=length_penalty)
    best = all_answers(tuple(prompt), 3, length_penalty)[:3]
    assert [answer.text for answer in answers] == [text for _, text in best]
    assert [answer.score for answer in answers] == pytest.approx([score for score, _ in best], abs=1e-4)


class Oracle(transformers.PreTrainedModel, transformers.GenerationMixin):
    """The fake decoder's logits as a model of transformers."""

    config_class = transformers.PretrainedConfig

    def __init__(self) -> None:
        super().__init__(transformers.PretrainedConfig(vocab_size=VOCABULARY, num_hidden_layers=1))
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        rows = [small_logits(tuple(row)) for row in input_ids.tolist()]
        return transformers.modeling_outputs.CausalLMOutput(logits=torch.from_numpy(np.stack(rows))[:, None])

    def prepare_inputs_for_generation(self, input_ids: torch.Tensor, **_: Any) -> dict[str, Any]:
        return {"input_ids": input_ids}


@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0, 2.0, -1.0])
@pytest.mark.parametrize("num_beams", [2, 3, 5])
def test_the_search_is_the_one_of_transformers(num_beams: int, length_penalty: float) -> None:
    model = Oracle()
    for seed in range(6):
        prompt = tuple(np.random.default_rng(seed).integers(1, VOCABULARY, 1 + seed).tolist())
        theirs = model.generate(
            torch.tensor([prompt]),
            num_beams=num_beams,
            num_return_sequences=num_beams,
            max_new_tokens=7,
            length_penalty=length_penalty,
            early_stopping="never",
            eos_token_id=END,
            pad_token_id=END,
            do_sample=False,
            use_cache=False,
            return_dict_in_generate=True,
            output_scores=True,
        )
        ours, _ = search(prompt, num_beams=num_beams, n=num_beams, max_tokens=7, length_penalty=length_penalty)
        expected = [
            tuple(itertools.takewhile(lambda token: token != END, row[len(prompt) :]))
            for row in theirs.sequences.tolist()
        ]
        assert [answer.tokens for answer in ours] == expected
        assert [answer.score for answer in ours] == pytest.approx(theirs.sequences_scores.tolist(), abs=1e-4)


def test_the_best_answer_does_not_change_with_how_many_are_asked_for() -> None:
    one, _ = search((1, 2), num_beams=4, max_tokens=8)
    four, _ = search((1, 2), num_beams=4, n=4, max_tokens=8)
    assert one == four[:1]
    assert sorted(four, key=lambda answer: -answer.score) == four


def test_states_are_copied_only_for_second_children() -> None:
    _, decoder = search((1, 2), num_beams=4, max_tokens=8, ignore_end=True)
    kinds = [run[0] for run in decoder.runs]
    assert kinds.count("prefill") == 1
    assert kinds.count("decode") == 7
    assert kinds[1:5] == ["copy"] * 3 + ["decode"], "the beams share the prompt"
    assert kinds.count("copy") < 3 + 6 * 2


def test_a_stop_text_ends_a_beam_before_it() -> None:
    whole, _ = search((3, 1), num_beams=3, max_tokens=6, ignore_end=True)
    stop = whole[0].text[2:4]
    stopped, _ = search((3, 1), num_beams=3, n=3, max_tokens=6, ignore_end=True, stop=(stop,))
    assert not any(stop in answer.text for answer in stopped)
    ended = [answer for answer in stopped if answer.stop_text]
    assert ended
    assert all(answer.finish_reason == "stop" for answer in ended)


def test_beams_come_as_whole_answers_with_their_log_probabilities() -> None:
    async def read() -> list[Delta]:
        bench = Bench(FakeDecoder(logits_of=small_logits))
        deltas = [delta async for delta in bench.submit((2,), num_beams=3, n=2, max_tokens=4, logprobs=2)]
        await bench.close()
        return deltas

    deltas = asyncio.run(read())
    assert [delta.choice for delta in deltas] == [0, 1]
    for delta in deltas:
        answer = delta.finished
        assert answer is not None
        held: tuple[int, ...] = (2,)
        for token, logprob, top in zip(answer.tokens, answer.logprobs, answer.top_logprobs, strict=True):
            assert logprob == pytest.approx(logprobs(held)[token], abs=1e-4)
            assert [score.token for score in top] == np.argsort(-logprobs(held))[:2].tolist()
            held = (*held, token)


class OneWord:
    """A constraint: the tokens 1 2 and nothing else."""

    def __init__(self, said: tuple[int, ...] = ()) -> None:
        self.said = said

    def allowed(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        allowed = np.zeros(VOCABULARY, np.bool_)
        if len(self.said) < 2:
            allowed[len(self.said) + 1] = True
        return allowed

    def advance(self, token: int) -> None:
        self.said = (*self.said, token)

    @property
    def is_complete(self) -> bool:
        return len(self.said) == 2

    def fork(self) -> OneWord:
        return OneWord(self.said)


def test_every_choice_ends_even_if_a_constraint_leaves_fewer_answers() -> None:
    async def read() -> tuple[list[Delta], GenerationStatistics]:
        bench = Bench(FakeDecoder(logits_of=small_logits))
        asked = bench.submit((1,), num_beams=3, n=3, max_tokens=6, constraint=OneWord)
        deltas = [delta async for delta in asked]
        await bench.close()
        assert asked.is_answered
        return deltas, bench.statistics

    deltas, statistics = asyncio.run(read())
    answers = [delta.finished for delta in deltas if delta.finished]
    assert [(answer.text, answer.finish_reason) for answer in answers] == [("bc", "stop"), ("", "stop"), ("", "stop")]
    assert sorted(answers, key=lambda answer: answer.score, reverse=True) == answers
    assert [delta.choice for delta in deltas] == [0, 1, 2]
    assert (statistics.total.count, statistics.finished) == (1, {"stop": 3})


def test_a_constraint_that_leaves_nothing_is_an_error() -> None:
    class Nothing(OneWord):
        def allowed(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
            return np.zeros(VOCABULARY, np.bool_)

    with pytest.raises(BadInput, match="leaves no token"):
        search((1,), num_beams=2, max_tokens=6, constraint=Nothing)


def test_bias_and_penalties_move_the_search() -> None:
    biased, _ = search((1,), num_beams=2, max_tokens=5, logit_bias={4: 100.0}, ignore_end=True)
    assert biased[0].text == "eeeee"
    varied, _ = search((1,), num_beams=2, max_tokens=4, presence_penalty=2.0, logit_bias={END: -100.0})
    assert len(set(varied[0].text)) >= 3
