"""The golden replay of a model that generates: the same numbers after each prompt, and the very same continuation.

Like its sibling serving/self_test.py it is run by export on every variant it makes, by promotion, and by the server
before it turns ready. Tokenizing, or decoding and encoding a picture, is part of what is proved.
"""

from __future__ import annotations

from itertools import takewhile

from registry.decoder_interface import LOGITS
from registry.golden import CONTINUATION, NO_TOKEN
from registry.package import ModelPackage
from serving.generation.decoder import Decoder, Logits, Step
from serving.runtimes.runtime import Runtime
from tasks.errors import InvalidPackage, TidegateError
from tasks.generation import Encoded, GenerativeTask, Prompt
from tasks.task import largest_difference
from tasks.text import decode_text

SLOT = 0


def replay_prompts(
    package: ModelPackage, variant: str, task: GenerativeTask, decoder: Decoder, encoder: Runtime | None
) -> None:
    """Raises InvalidPackage naming the first golden input after which the logits differ by more than the variant's own
    tolerance, or another token follows. `encoder`: of a task that has one."""
    expected = package.golden_outputs(variant)
    tolerance = package.variant(variant).golden.max_abs_difference[LOGITS]
    payloads = zip(package.manifest.golden_inputs, package.golden_inputs(), strict=True)
    for index, (file, payload) in enumerate(payloads):
        what = f"golden input {file!r} on {variant!r}"
        try:
            prompt = payload_prompt(task, payload, encoder)
        except TidegateError as error:
            raise InvalidPackage(f"{what} can not be taken as a prompt: {error}") from error
        promised = list(takewhile(lambda token: token != NO_TOKEN, expected[CONTINUATION][index].tolist()))
        logits, tokens = continue_greedily(decoder, prompt, len(promised))
        difference = largest_difference(expected[LOGITS][index], logits)
        if not difference <= tolerance:
            raise InvalidPackage(f"{what}: {LOGITS!r} differ by {difference:.3g}, allowed is {tolerance:.3g}")
        if tokens != promised:
            raise InvalidPackage(f"{what}: the tokens {tokens} follow, not {promised}")


def payload_prompt(task: GenerativeTask, payload: bytes, encoder: Runtime | None) -> Prompt:
    """A text in UTF-8, or an encoded picture → what the decoder continues. Raises what the task raises for it."""
    if task.encoder is None or encoder is None:
        return task.prompt(decode_text(payload))
    sample = task.encoder.sample_from_bytes(payload)
    tensors = task.encoder.preprocess(sample)
    outputs = encoder.run({name: array[None] for name, array in tensors.items()})
    return task.prompt_of(Encoded(sample, tensors, {name: array[0] for name, array in outputs.items()}))


def continue_greedily(decoder: Decoder, prompt: Prompt, num_tokens: int) -> tuple[Logits, list[int]]:
    """FP32 [vocabulary] after a prompt, and the best token `num_tokens` times over, ends of text among them."""
    first = decoder.prefill(SLOT, prompt.tokens, 0, prompt.features)
    assert first is not None
    logits, tokens = first, list[int]()
    for _ in range(num_tokens):
        if tokens:
            logits = decoder.decode([Step(SLOT, tokens[-1], prompt.length + len(tokens) - 1)], {})[0]
        tokens.append(int(logits.argmax()))
    return first, tokens
