from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.generation.constraint import MAX_REGEX_CHARACTERS, MAX_SCHEMA_CHARACTERS, ConstraintCompiler
from serving.generation.fake_decoder import FakeDecoder, Held, random_logits
from serving.generation.request import Constraint, GenerationRequest
from tasks.errors import BadInput, TooLarge, Unsupported
from tasks.generation import Generated, Prompt
from tasks.generation_params import GenerationParams
from tasks.text import Tokenizer, train_byte_level_bpe
from tests.serving.generation.bench import Bench

END = 0
VOCABULARY = 320
"""A few more than there are tokens, as models have them."""
EXPLODING = [{"type": "string", "pattern": f"^.*{letter}.*$"} for letter in "abcdefghijklmnopqrst"]
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def tokenizer_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_bytes(train_byte_level_bpe(['{"name": "Ann", "age": 41}, {"name": "Bob"}'] * 3, 300, ["<end>", "<pad>"]))
    return path


@pytest.fixture(scope="module")
def compiler(tokenizer_json: Path) -> ConstraintCompiler:
    return ConstraintCompiler(tokenizer_json, VOCABULARY, frozenset({END}))


def started(compiler: ConstraintCompiler, **params: Any) -> Constraint:
    start = compiler.compile(GenerationParams(**params))
    assert start is not None
    return start()


def answers(tokenizer_json: Path, compiler: ConstraintCompiler, **params: Any) -> list[Generated]:
    """Of a model that says anything."""

    class Whole:
        def __init__(self) -> None:
            self.tokens: list[int] = []

        def push(self, token: int) -> str:
            self.tokens.append(token)
            return ""

        def flush(self) -> str:
            return tokenizer.decode(self.tokens)

    def wild(held: Held) -> np.ndarray[Any, np.dtype[np.float32]]:
        return random_logits(held, VOCABULARY)

    async def ask() -> list[Generated]:
        bench = Bench(FakeDecoder(num_slots=4, context=400, logits_of=wild))
        asked = GenerationParams(**params)
        request = GenerationRequest(Prompt((5,)), asked, frozenset({END}), Whole, compiler.compile(asked))
        found = await bench.generator.submit(request).wait()
        await bench.close()
        return found

    tokenizer = Tokenizer(tokenizer_json)
    return asyncio.run(ask())


@pytest.mark.parametrize("how", [{"seed": 1}, {"seed": 2, "temperature": 3.0}, {"temperature": 0}, {"num_beams": 3}])
def test_answers_are_what_the_schema_allows(
    tokenizer_json: Path, compiler: ConstraintCompiler, how: dict[str, Any]
) -> None:
    for answer in answers(tokenizer_json, compiler, json_schema=json.dumps(PERSON), max_tokens=300, **how):
        assert answer.finish_reason == "stop"
        person = json.loads(answer.text)
        assert set(person) == {"name", "age"}
        assert len(person["name"]) <= 8
        assert 0 <= person["age"] <= 150


@pytest.mark.parametrize("regex", ["[0-9]{4}-[0-9]{2}", "(yes|no)( please)?", "naïve|日本", "a*b"])
def test_answers_match_the_expression_as_a_whole(
    tokenizer_json: Path, compiler: ConstraintCompiler, regex: str
) -> None:
    for seed in range(5):
        (answer,) = answers(tokenizer_json, compiler, regex=regex, max_tokens=300, seed=seed)
        assert re.fullmatch(regex, answer.text), answer.text
        assert answer.finish_reason == "stop"


def test_the_end_is_allowed_only_where_the_answer_may_end(compiler: ConstraintCompiler, tokenizer_json: Path) -> None:
    constraint, a = started(compiler, regex="aa+"), Tokenizer(tokenizer_json).encode("a")[0]
    ends = []
    for _ in range(3):
        ends.append(bool(constraint.allowed()[END]))
        constraint.advance(a)
    assert ends == [False, False, True]
    assert not constraint.is_complete
    assert not constraint.allowed()[300:].any(), "logits without a token"


def test_an_answer_is_complete_when_nothing_may_follow(compiler: ConstraintCompiler, tokenizer_json: Path) -> None:
    constraint, a = started(compiler, regex="aa"), Tokenizer(tokenizer_json).encode("a")[0]
    constraint.advance(a)
    assert not constraint.is_complete
    constraint.advance(a)
    assert constraint.is_complete


def test_a_fork_goes_its_own_way(compiler: ConstraintCompiler, tokenizer_json: Path) -> None:
    constraint, (a, b) = started(compiler, regex="ab|bb"), (Tokenizer(tokenizer_json).encode(c)[0] for c in "ab")
    forked = constraint.fork()
    constraint.advance(a)
    forked.advance(b)
    assert constraint.allowed()[b]
    assert forked.allowed()[b]
    with pytest.raises(BadInput):
        forked.advance(a)
    constraint.advance(b)
    assert constraint.is_complete


def test_a_model_without_end_tokens_ends_where_nothing_may_follow(tokenizer_json: Path) -> None:
    compiler = ConstraintCompiler(tokenizer_json, VOCABULARY, frozenset())
    constraint, a = started(compiler, regex="a{1,2}"), Tokenizer(tokenizer_json).encode("a")[0]
    constraint.advance(a)
    assert np.flatnonzero(constraint.allowed()).tolist() == [a]
    assert not constraint.is_complete
    constraint.advance(a)
    assert constraint.is_complete


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"json_schema": "{"}, "EOF"),
        ({"json_schema": "[1]"}, "object schema"),
        ({"json_schema": '{"type": "person"}'}, "Invalid type: person"),
        ({"json_schema": '{"$ref": "http://example.com/schema"}'}, "retrieving"),
        ({"json_schema": '{"enum": []}'}, "Unsatisfiable"),
        ({"regex": "(a"}, "unclosed group"),
        ({"regex": "(?=a)b"}, "look-around"),
        ({"json_schema": json.dumps({"allOf": EXPLODING})}, "can not be compiled"),
    ],
)
def test_what_can_not_be_compiled_is_the_callers_error(
    compiler: ConstraintCompiler, params: dict[str, str], complaint: str
) -> None:
    with pytest.raises(BadInput, match=complaint) as caught:
        compiler.compile(GenerationParams(**params))
    assert len(str(caught.value)) < 500


def test_what_is_too_long_is_not_even_compiled(compiler: ConstraintCompiler) -> None:
    with pytest.raises(TooLarge, match="regex has"):
        compiler.compile(GenerationParams(regex="a" * (MAX_REGEX_CHARACTERS + 1)))
    with pytest.raises(TooLarge, match="json_schema has"):
        compiler.compile(GenerationParams(json_schema=" " * (MAX_SCHEMA_CHARACTERS + 1)))


def test_nothing_asked_for_is_nothing_compiled(compiler: ConstraintCompiler) -> None:
    assert compiler.compile(GenerationParams()) is None


def test_a_tokenizer_that_can_not_be_constrained_leaves_the_rest_alone(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    compiler = ConstraintCompiler(tmp_path / "tokenizer.json", VOCABULARY, frozenset({END}))
    assert compiler.compile(GenerationParams()) is None
    with pytest.raises(Unsupported, match="can not be constrained"):
        compiler.compile(GenerationParams(regex="a"))


def test_a_model_that_likes_spaces_must_go_on_with_the_json(compiler: ConstraintCompiler, tokenizer_json: Path) -> None:
    constraint, encode = started(compiler, json_schema='{"type": "object"}'), Tokenizer(tokenizer_json).encode
    constraint.advance(encode("{")[0])
    (space,) = encode(" ")
    assert constraint.allowed()[space]
    constraint.advance(space)
    assert not constraint.allowed()[space]


def test_answers_that_exhaust_their_constraint_take_no_others_with_them(tokenizer_json: Path) -> None:
    """The same expression in the hands of other callers must go on working."""
    compiler = ConstraintCompiler(tokenizer_json, VOCABULARY, frozenset({END}))
    costly = GenerationParams(regex=r"(.|\n)*[a-m](.|\n){30}")
    start = compiler.compile(costly)
    assert start is not None
    with pytest.raises(BadInput, match="followed"):
        babble(start, num_answers=12, num_tokens=1_000)
    another = compiler.compile(costly)
    assert another is not None
    babble(another, num_answers=1, num_tokens=50)


def babble(start: Callable[[], Constraint], num_answers: int, num_tokens: int) -> None:
    """Answers of tokens drawn at random from what is allowed."""
    rng = np.random.default_rng(0)
    for _ in range(num_answers):
        constraint = start()
        for _ in range(num_tokens):
            choices = np.flatnonzero(constraint.allowed())
            constraint.advance(int(rng.choice(choices[choices != END])))
