"""What is told to somebody who named what there is not."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def names_like(name: str, known: Iterable[str]) -> str:
    """What may have been meant by a name that is none of the known ones, then all of these. The end of a sentence.

    For what the operator of a machine has written: a name of a million letters takes its time."""
    names = sorted(known)
    meant = "".join(f"{nearest} is nearest; " for nearest in get_close_matches(name, names, n=1))
    return f"{meant}known: {', '.join(names) or 'none'}"
