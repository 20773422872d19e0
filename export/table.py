"""Plain-text tables of figures."""

from __future__ import annotations

from collections.abc import Sequence

from registry.manifest import ClassEvidence


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first aligned left, figures right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    columns = [
        [cell.ljust(width) if i == 0 else cell.rjust(width) for cell in column]
        for i, (column, width) in enumerate(zip(zip(*lines, strict=True), widths, strict=True))
    ]
    aligned = ["  ".join(cells) for cells in zip(*columns, strict=True)]
    return "\n".join([aligned[0], "  ".join("─" * width for width in widths), *aligned[1:]])


def percent(share: float) -> str:
    return f"{share * 100:.2f} %"


def megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.2f} MB" if num_bytes >= 100_000 else f"{num_bytes / 1e3:.1f} kB"


def worst_class(per_class: Sequence[ClassEvidence]) -> str:
    """The class that lost most and its change in points, as in "cat -1.20"."""
    seen = [each for each in per_class if each.support]
    worst = min(seen, key=lambda each: each.variant - each.trained, default=None)
    if worst is None or worst.variant >= worst.trained:
        return "none"
    return f"{worst.label} {(worst.variant - worst.trained) * 100:+.2f}"
