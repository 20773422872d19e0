"""Whether the graphs of a variant can generate: the right roles, each with the tensors that the interface asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from registry.decoder_interface import (
    CACHES,
    CONTEXT_AXIS,
    COPY,
    DECODER,
    EMBEDDING,
    ENCODER,
    FEATURES,
    LOGITS,
    NUM_CACHED,
    NUM_NEW,
    PAST,
    PRESENT,
    SOURCE,
    TARGET,
    TOKENS,
    WANTED,
)
from registry.golden import CONTINUATION
from registry.manifest import Graph, Variant
from tasks.errors import InvalidPackage
from tasks.generative_spec import GenerativeSpec
from tasks.task import TensorSpec


def check_roles(name: str, variant: Variant, spec: GenerativeSpec, has_encoder: bool) -> None:
    """Raises InvalidPackage for a variant that cannot generate, or whose golden outputs do not prove that it can."""
    roles = {DECODER, COPY, ENCODER} if has_encoder else {DECODER, COPY}
    if set(variant.graphs) != roles:
        raise InvalidPackage(
            f"variant {name!r} of a model that generates must have the graphs {listed(roles)}; it has "
            f"{listed(variant.graphs)}"
        )
    if variant.task is not None:
        raise InvalidPackage(
            f"variant {name!r} has a task of its own; variants of a model that generates may have none"
        )
    decoder = variant.graphs[DECODER]
    features = (FEATURES,) if has_encoder else ()
    state = state_of(name, decoder, (TOKENS, NUM_CACHED, NUM_NEW, WANTED, *features), (LOGITS,))
    check_sizes(name, by_name(decoder.outputs)[LOGITS], state, spec)
    check_copy(name, variant.graphs[COPY], state)
    if has_encoder:
        check_encoder(name, variant.graphs[ENCODER])
    check_promises(name, variant.golden.max_abs_difference)


def state_of(name: str, decoder: Graph, inputs: Collection[str], outputs: Collection[str]) -> dict[str, TensorSpec]:
    """State tensors by name, as the decoder takes them, where it gives back the same."""
    given, answered = by_name(decoder.inputs), by_name(decoder.outputs)
    past = {tensor.removeprefix(PAST): spec for tensor, spec in given.items() if tensor.startswith(PAST)}
    present = {tensor.removeprefix(PRESENT): spec for tensor, spec in answered.items() if tensor.startswith(PRESENT)}
    missing = (set(inputs) - given.keys()) | (set(outputs) - answered.keys())
    if missing or not past:
        lacks = listed(missing) if missing else f"a state ({PAST}… in, {PRESENT}… out)"
        raise InvalidPackage(f"the decoder of variant {name!r} lacks {lacks}; see registry/decoder_interface.py")
    check_same(f"the decoder of variant {name!r}", PAST, past, PRESENT, present)
    return past


def check_sizes(name: str, logits: TensorSpec, state: Mapping[str, TensorSpec], spec: GenerativeSpec) -> None:
    """Logits of the whole vocabulary, and caches of just the context: beyond a shorter one, memory would be written."""
    if logits.shape[1:] != (spec.vocabulary,):
        raise InvalidPackage(
            f"the decoder of variant {name!r} has {LOGITS!r} of {list(logits.shape)}; the vocabulary is "
            f"{spec.vocabulary}"
        )
    for tensor, cache in state.items():
        if tensor.startswith(CACHES) and (len(cache.shape) != 4 or cache.shape[CONTEXT_AXIS] != spec.context):
            raise InvalidPackage(
                f"the decoder of variant {name!r} has {PAST}{tensor} of {list(cache.shape)}; expected [rows, heads, "
                f"context, width] with a context of {spec.context}"
            )


def check_copy(name: str, copy: Graph, state: Mapping[str, TensorSpec]) -> None:
    """Copies exactly the state of the decoder."""
    what = f"the copy graph of variant {name!r}"
    sides = ((SOURCE, by_name(copy.inputs)), (TARGET, by_name(copy.outputs)))
    for prefix, tensors in sides:
        check_same(what, PAST, state, prefix, {tensor.removeprefix(prefix): spec for tensor, spec in tensors.items()})


def check_same(
    what: str, prefix: str, tensors: Mapping[str, TensorSpec], other: str, others: Mapping[str, TensorSpec]
) -> None:
    """The same names, types and sizes, the first axis (of slots) aside."""
    if tensors.keys() != others.keys():
        odd = listed(tensors.keys() ^ others.keys())
        raise InvalidPackage(f"{what} must have {other}x for every {prefix}x of the decoder, which differs for: {odd}")
    for name, spec in tensors.items():
        if (spec.dtype, spec.shape[1:]) != (others[name].dtype, others[name].shape[1:]):
            raise InvalidPackage(
                f"{what}: {prefix}{name} is {spec.dtype} {list(spec.shape)}, but {other}{name} is "
                f"{others[name].dtype} {list(others[name].shape)}"
            )


def check_encoder(name: str, encoder: Graph) -> None:
    """What the picture becomes, for the decoder and for monitoring."""
    if missing := {FEATURES, EMBEDDING} - by_name(encoder.outputs).keys():
        raise InvalidPackage(f"the encoder of variant {name!r} lacks the output {listed(missing)}")


def check_promises(name: str, max_abs_difference: Mapping[str, float]) -> None:
    """Numbers after the prompt, and the very tokens that follow from them."""
    if missing := {LOGITS, CONTINUATION} - max_abs_difference.keys():
        raise InvalidPackage(f"the golden outputs of variant {name!r} lack {listed(missing)}")
    if max_abs_difference[CONTINUATION] != 0:
        raise InvalidPackage(
            f"variant {name!r} allows its golden {CONTINUATION!r} to differ by {max_abs_difference[CONTINUATION]:g}; "
            "tokens are the same or wrong: it must be 0"
        )


def by_name(tensors: Collection[TensorSpec]) -> dict[str, TensorSpec]:
    return {spec.name: spec for spec in tensors}


def listed(names: Collection[str]) -> str:
    return ", ".join(map(repr, sorted(names)))
