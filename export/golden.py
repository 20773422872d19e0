"""The golden set: encoded examples that every host must answer as the exporting host did.

A replay must fail on a broken host and never on a sound one. Sound hosts differ in the last bits of float32, and an
int8 graph may round a whole step differently (fused kernels, other instruction sets), which moves its numbers by about
as much as quantization itself does. Hence the tolerances below, and hence only examples whose decision no difference
within the tolerance can change: among those, for every class in turn, the hardest and the easiest ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from export.parity import Parity
from export.trial import Trial
from registry.manifest import Precision

FLOAT_SHARE = 1e-3
"""Tolerance of float32 graphs in standard deviations of the output between pictures: 500 times what was measured
between ONNX Runtime's fused and unfused kernels, and far below anything that a broken decoder or graph does."""
EXACT_PRECISIONS: tuple[Precision, ...] = ("fp32",)
HALF_PRECISIONS: tuple[Precision, ...] = ("fp16", "bf16")
HALF_HOSTS = 2
"""Hosts that round to 16 bits: this one and the other. Sums in another order round to other neighbours all along the
graph, so the errors of the two have next to nothing in common."""
SUFFIXES: Mapping[bytes, str] = {
    b"\xff\xd8": ".jpg",
    b"\x89P": ".png",
    b"RI": ".webp",
    b"BM": ".bmp",
    b"GI": ".gif",
}


def replay_tolerance(precision: Precision, parity: Mapping[str, Parity]) -> dict[str, float]:
    """Largest difference per output, as the task measures it, that a host may show at replay.

    Float32: a thousandth of the output's spread. Lower precisions: the largest error that the variant itself made
    against the trained model, over thousands of examples, if that is more. Another host's rounding is a part of that
    error: between fused and unfused int8 kernels, a tenth of it was measured. Of 16-bit floats it is the whole error,
    since all of that is rounding, and the other host's error comes on top of this one's.
    """
    floors = {name: max(1e-5, FLOAT_SHARE * each.spread) for name, each in parity.items()}
    if precision in EXACT_PRECISIONS:
        return floors
    share = HALF_HOSTS if precision in HALF_PRECISIONS else 1
    return {name: max(floors[name], share * each.max) for name, each in parity.items()}


def choose_golden(
    trials: Mapping[str, Trial], tolerances: Mapping[str, float], groups: Sequence[int], count: int
) -> list[int]:
    """Indices of at most `count` compared examples. `tolerances`: variant → that of its decisive output;
    `groups[i]`: the class of example i.

    Preferred are examples where all variants agree with the trained model and no margin is within its tolerance; where
    a class has none, its widest margin stands in.
    """
    comfort = [
        min(trial.margins[i] / tolerances[name] if trial.agreed[i] else -1.0 for name, trial in trials.items())
        for i in range(len(groups))
    ]
    by_class: dict[int, list[int]] = defaultdict(list)
    for index in sorted(range(len(groups)), key=lambda i: comfort[i]):
        by_class[groups[index]].append(index)
    queues = [alternate_ends(comfortable(by_class[group], comfort)) for group in sorted(by_class)]
    turns = [queue[turn] for turn in range(count) for queue in queues if turn < len(queue)]
    return turns[:count]


def comfortable(indices: Sequence[int], comfort: Sequence[float]) -> list[int]:
    """Those beyond their tolerance, or else the best one if variants agree about it."""
    beyond = [i for i in indices if comfort[i] > 1]
    return beyond or [i for i in indices[-1:] if comfort[i] > 0]


def alternate_ends(ordered: Sequence[int]) -> list[int]:
    """[hardest, …, easiest] → hardest, easiest, second hardest, second easiest, …"""
    pairs = zip(ordered, reversed(ordered), strict=True)
    return [index for pair in pairs for index in pair][: len(ordered)]


def picture_suffix(payload: bytes) -> str:
    """Of the file of an encoded picture."""
    return SUFFIXES.get(payload[:2], ".bin")


def write_golden(
    folder: Path, payloads: Sequence[bytes], suffix_of: Callable[[bytes], str] = picture_suffix
) -> tuple[str, ...]:
    """Writes golden/0000.jpg … under the package folder, and names them."""
    (folder / "golden").mkdir()
    names = tuple(f"golden/{i:04}{suffix_of(payload)}" for i, payload in enumerate(payloads))
    for name, payload in zip(names, payloads, strict=True):
        (folder / name).write_bytes(payload)
    return names
