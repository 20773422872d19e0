"""What compression made a model forget, in one sentence for each variant."""

from __future__ import annotations

from collections.abc import Mapping

from export.forgotten import ClassOverSeeds, Forgotten
from export.table import percent

NUM_HARMED = 3


def format_forgotten(variants: Mapping[str, Forgotten]) -> str:
    """A line for each variant."""
    lines = [f"{name}: {changed(each)}; {harmed(each)}; {calibration(each)}" for name, each in variants.items()]
    return "\n".join(["what it forgot", *lines])


def sheet_title(model: str, variant: str, forgotten: Forgotten) -> tuple[str, ...]:
    """Over the contact sheet of one variant."""
    return f"{variant} of {model}: {changed(forgotten)}, worst first", f"{harmed(forgotten)}; {calibration(forgotten)}"


def changed(forgotten: Forgotten) -> str:
    seeds = f", by {len(forgotten.seeds)} seeds" if len(forgotten.seeds) > 1 else ""
    return f"{forgotten.num_changed:,} of {forgotten.num_examples:,} answers changed{seeds}"


def harmed(forgotten: Forgotten) -> str:
    """The classes that lost most, in the mean over the seeds."""
    lost = sorted(
        (each for each in forgotten.classes if each.support and each.change < 0), key=lambda each: each.change
    )
    if not lost:
        return "no class lost anything"
    return "lost most: " + ", ".join(describe_class(each) for each in lost[:NUM_HARMED])


def describe_class(found: ClassOverSeeds) -> str:
    """As in "cat -1.20 points (-0.90 to -1.50)", the range over the seeds where there are several."""
    points = [(share - found.right.trained) * 100 for share in found.right.by_seed]
    spread = f" ({max(points):+.2f} to {min(points):+.2f})" if len(points) > 1 else ""
    return f"{found.label} {found.change * 100:+.2f} points{spread}"


def calibration(forgotten: Forgotten) -> str:
    figure = forgotten.calibration_error
    return f"calibration error {percent(figure.trained)} → {percent(figure.mean)}"
