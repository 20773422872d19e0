"""Documentation strings of Python files, found by parsing them: nothing is imported."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path

from tasks.errors import BadInput


def read_docstrings(path: Path) -> list[str]:
    """The docstrings of a file's module, classes and functions, in the order of the file, without the indentation of
    the code. Raises BadInput for a file that is not Python of this version."""
    try:
        # Old code warns about escapes in its strings, which is its own affair.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        raise BadInput(f"it cannot be parsed ({error})") from error
    found = (ast.get_docstring(node) for node in documented_nodes(tree))
    return [text for text in (trim_lines(text) for text in found if text is not None) if text]


def documented_nodes(
    tree: ast.Module,
) -> Iterator[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every node that may have a docstring, in the order of the file."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        pending.extend(reversed(list(ast.iter_child_nodes(node))))


def trim_lines(text: str) -> str:
    """Without blanks at the ends of lines, tabs and carriage returns; half surrogates, which are no characters, go."""
    clean = text.encode("utf-8", "ignore").decode()
    return "\n".join(line.rstrip() for line in clean.expandtabs().splitlines()).strip("\n")
