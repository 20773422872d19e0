"""The exit codes of the command line: what went wrong, as a number that a script can act on."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.errors import ErrorKind

UNEXPECTED = 1
"""A bug or an error of the operating system; the message on stderr has the rest."""
USAGE = 2

EXIT_CODES: Mapping[ErrorKind, int] = {
    ErrorKind.NOT_FOUND: 3,
    ErrorKind.GATE_FAILED: 4,
    ErrorKind.INVALID_PACKAGE: 5,
    ErrorKind.INVALID_RECIPE: 5,
    ErrorKind.CONFLICT: 6,
    ErrorKind.NOT_READY: 7,
    ErrorKind.OVERLOADED: 7,
    ErrorKind.DEADLINE_EXCEEDED: 7,
    ErrorKind.BAD_INPUT: 8,
    ErrorKind.TOO_LARGE: 8,
    ErrorKind.UNSUPPORTED: 9,
    ErrorKind.UNAUTHENTICATED: 9,
    ErrorKind.FORBIDDEN: 9,
}

MEANINGS: Mapping[int, str] = {
    0: "done",
    UNEXPECTED: "unexpected: a bug, or an error of the operating system",
    USAGE: "usage: an unknown command or option, or a missing argument",
    3: "not found: no such model, version, recipe or file",
    4: "gate failed: the model did not earn its export or promotion",
    5: "invalid package, recipe or configuration",
    6: "conflict: somebody else changed what this command relied on",
    7: "not ready: no engine, registry unreachable, overloaded or too late",
    8: "bad input: at least one input could not be answered",
    9: "refused: unsupported, unauthenticated or forbidden",
    130: "interrupted",
}


def exit_code_table() -> str:
    """The codes as they stand at the end of `tidegate --help`."""
    return "\n".join(f"{code:>5}  {meaning}" for code, meaning in MEANINGS.items())
