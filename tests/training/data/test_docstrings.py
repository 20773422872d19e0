from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import BadInput
from training.data.docstrings import read_docstrings

SOURCE = '''"""The module.

    Indented on purpose.
"""
raise RuntimeError("nobody may import this")

class Thing:
    """A thing.\t

    It lasts.
    """

    async def run(self):
        "Runs."
        def inner():
            r"""Inside \\d."""

    def silent(self):
        return "no docstring"

def empty():
    """   """
'''


def test_docstrings_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(SOURCE)
    module = "The module.\n\nIndented on purpose."
    assert read_docstrings(path) == [module, "A thing.\n\nIt lasts.", "Runs.", r"Inside \d."]


def test_a_half_surrogate_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text('"""a\\ud800b"""')
    assert read_docstrings(path) == ["ab"]


@pytest.mark.parametrize("content", [b"def (", b"\x00", b"# coding: nonsense\n", b"x = '\xff'"])
def test_what_is_not_python_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "module.py"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="parsed"):
        read_docstrings(path)
