"""The decoder over real graphs of small networks: what it answers must be what the network answers by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.graphs.decoder_graph import copy_graph, decoder_graph
from export.graphs.graph_builder import save_graph
from export.graphs.graph_form import GraphForm
from serving.generation.decoder import Step
from serving.generation.graph_decoder import GraphDecoder
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.errors import InvalidPackage
from tasks.task import Array
from training.models import llama, lstm
from training.networks.language_network import LanguageNetwork

VOCABULARY, CONTEXT, SLOTS = 50, 24, 4
NETWORKS: dict[str, Callable[[], LanguageNetwork]] = {
    "llama": lambda: llama.build(llama.Options(width=64, depth=2, heads=4, kv_heads=2), VOCABULARY, CONTEXT),
    "lstm": lambda: lstm.build(lstm.Options(width=16, hidden=32), VOCABULARY, CONTEXT),
}
TOLERANCE = 1e-4


def drawn(seed: int, length: int) -> list[int]:
    return np.random.default_rng(seed).integers(0, VOCABULARY, length).tolist()


def made(name: str) -> LanguageNetwork:
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(4)  # otherwise the logits hardly depend on what came before
    return network


class Subject:
    """A network and the decoder over its graphs."""

    def __init__(
        self, network: LanguageNetwork, folder: Path, prompt: Literal["tokens", "features"] = "tokens"
    ) -> None:
        self.network = network
        model = decoder_graph(network, GraphForm(context=CONTEXT, prompt=prompt))
        save_graph(model, folder / "decoder.onnx")
        save_graph(copy_graph(model), folder / "copy.onnx")
        runtimes = [OnnxRuntime(folder / f"{role}.onnx") for role in ("decoder", "copy")]
        self.decoder = GraphDecoder(*runtimes, num_slots=SLOTS, context=CONTEXT)

    def expected(self, tokens: Sequence[int], features: Array | None = None) -> Array:
        """The network's logits after the last of `tokens`."""
        with torch.inference_mode():
            before = None if features is None else torch.tensor(features)[None]
            logits: Array = self.network(torch.tensor([tokens]), before)[0, -1].numpy()
            return logits


@pytest.fixture(params=list(NETWORKS))
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    opened = Subject(made(request.param), tmp_path)
    yield opened
    opened.decoder.close()


@pytest.fixture
def llama_subject(tmp_path: Path) -> Iterator[Subject]:
    opened = Subject(made("llama"), tmp_path)
    yield opened
    opened.decoder.close()


def test_a_prompt_in_pieces_gives_what_it_gives_at_once(subject: Subject) -> None:
    tokens = drawn(1, 12)
    assert subject.decoder.prefill(2, tokens[:5], 0, want_logits=False) is None
    assert subject.decoder.prefill(2, tokens[5:11], 5, want_logits=False) is None
    logits = subject.decoder.prefill(2, tokens[11:], 11)
    assert logits is not None
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, subject.expected(tokens), atol=TOLERANCE)


def test_streams_of_all_lengths_share_a_step_and_do_not_disturb_each_other(subject: Subject) -> None:
    streams = {slot: drawn(slot, 3 + 4 * slot) for slot in range(SLOTS)}
    for slot, tokens in streams.items():
        subject.decoder.prefill(slot, tokens[:-1], 0, want_logits=False)
    for turn in range(3):
        steps = [Step(slot, tokens[-1], len(tokens) - 1) for slot, tokens in reversed(streams.items())]
        logits = subject.decoder.decode(steps, {})
        for row, step in zip(logits, steps, strict=True):
            np.testing.assert_allclose(row, subject.expected(streams[step.slot]), atol=TOLERANCE)
        for slot, tokens in streams.items():
            tokens.append(drawn(10 * turn + slot, 1)[0])


def test_what_idle_slots_hold_outlives_the_steps_of_their_neighbours(subject: Subject) -> None:
    held = {1: drawn(1, CONTEXT - 1), 2: drawn(2, 3)}
    for slot, tokens in held.items():
        subject.decoder.prefill(slot, tokens, 0, want_logits=False)
    running = {0: drawn(3, 4), 3: drawn(4, 6)}
    for slot, tokens in running.items():
        subject.decoder.prefill(slot, tokens, 0, want_logits=False)
    for count in range(5):
        steps = [Step(slot, 7, len(tokens) + count) for slot, tokens in running.items()]
        subject.decoder.decode(steps, {slot: len(tokens) for slot, tokens in held.items()})
    for slot, tokens in held.items():
        logits = subject.decoder.decode([Step(slot, 9, len(tokens))], {})
        np.testing.assert_allclose(logits[0], subject.expected([*tokens, 9]), atol=TOLERANCE)


def test_a_slot_that_starts_anew_remembers_nothing(subject: Subject) -> None:
    subject.decoder.prefill(0, drawn(1, 20), 0)
    logits = subject.decoder.prefill(0, drawn(2, 3), 0)
    np.testing.assert_allclose(logits, subject.expected(drawn(2, 3)), atol=TOLERANCE)


def test_a_copied_slot_goes_on_as_the_one_it_was_copied_from(subject: Subject) -> None:
    tokens = drawn(1, 8)
    subject.decoder.prefill(3, tokens, 0, want_logits=False)
    subject.decoder.copy(3, 0)
    subject.decoder.prefill(3, drawn(2, 8), 0, want_logits=False)
    logits = subject.decoder.decode([Step(0, 5, 8)], {})
    np.testing.assert_allclose(logits[0], subject.expected([*tokens, 5]), atol=TOLERANCE)


def test_a_cache_can_be_rewound_and_a_recurrent_state_says_that_it_can_not(subject: Subject) -> None:
    assert subject.decoder.can_rewind == isinstance(subject.network, llama.Llama)
    assert (subject.decoder.num_slots, subject.decoder.context) == (SLOTS, CONTEXT)
    assert subject.decoder.vocabulary == VOCABULARY


def test_another_end_may_be_written_over_what_was_rewound(llama_subject: Subject) -> None:
    tokens = drawn(1, 10)
    llama_subject.decoder.prefill(0, tokens, 0, want_logits=False)
    changed = [*tokens[:6], *drawn(2, 3)]
    logits = llama_subject.decoder.prefill(0, changed[6:], 6)
    np.testing.assert_allclose(logits, llama_subject.expected(changed), atol=TOLERANCE)


def test_a_slot_may_be_filled_to_the_last_position(subject: Subject) -> None:
    tokens = drawn(1, CONTEXT)
    subject.decoder.prefill(0, tokens[:-1], 0, want_logits=False)
    logits = subject.decoder.decode([Step(0, tokens[-1], CONTEXT - 1)], {})
    np.testing.assert_allclose(logits[0], subject.expected(tokens), atol=TOLERANCE)


def test_features_stand_before_the_tokens(tmp_path: Path) -> None:
    subject = Subject(made("llama"), tmp_path, prompt="features")
    features = np.random.default_rng(0).standard_normal((5, 64)).astype(np.float32)
    tokens = drawn(1, 4)
    logits = subject.decoder.prefill(1, tokens[:2], 0, features)
    np.testing.assert_allclose(logits, subject.expected(tokens[:2], features), atol=TOLERANCE)
    logits = subject.decoder.prefill(1, tokens[2:3], 7)
    np.testing.assert_allclose(logits, subject.expected(tokens[:3], features), atol=TOLERANCE)
    logits = subject.decoder.decode([Step(1, tokens[3], 8)], {})
    np.testing.assert_allclose(logits[0], subject.expected(tokens, features), atol=TOLERANCE)


def test_a_cache_of_another_context_is_refused(tmp_path: Path) -> None:
    model = decoder_graph(made("llama"), GraphForm(context=CONTEXT))
    save_graph(model, tmp_path / "decoder.onnx")
    save_graph(copy_graph(model), tmp_path / "copy.onnx")
    decoder, copier = (OnnxRuntime(tmp_path / f"{name}.onnx") for name in ("decoder", "copy"))
    with pytest.raises(InvalidPackage, match=f"\\[rows, heads, {CONTEXT + 1}, width\\] was expected"):
        GraphDecoder(decoder, copier, SLOTS, CONTEXT + 1)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "prolong", "step", "copy"]),
        st.integers(0, SLOTS - 1),
        st.integers(0, SLOTS - 1),
        st.integers(1, 6),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
def test_whatever_happens_in_other_slots_each_one_knows_its_own_text(
    subject: Subject, operations: list[tuple[str, int, int, int]]
) -> None:
    """Prompts begin and go on in pieces, slots are copied, and any stretch of them takes a step, in any order."""
    held: dict[int, list[int]] = {}
    for number, (operation, slot, other, length) in enumerate(operations):
        known, new = held.get(slot, []), drawn(number, length)
        if operation == "copy" and slot in held:
            subject.decoder.copy(slot, other)
            held[other] = list(known)
        elif operation == "step":
            steps = [Step(s, new[0], len(held[s])) for s in sorted(held) if slot <= s <= other]
            steps = [step for step in steps if step.num_cached < CONTEXT - 1]
            if steps:
                idle = {s: len(tokens) for s, tokens in held.items() if s not in {step.slot for step in steps}}
                for row, step in zip(subject.decoder.decode(steps, idle), steps, strict=True):
                    held[step.slot].append(step.token)
                    np.testing.assert_allclose(row, subject.expected(held[step.slot]), atol=TOLERANCE)
        elif operation in ("begin", "prolong"):
            before = known if operation == "prolong" and len(known) + length < CONTEXT else []
            held[slot] = [*before, *new]
            logits = subject.decoder.prefill(slot, new, len(before))
            np.testing.assert_allclose(logits, subject.expected(held[slot]), atol=TOLERANCE)
