"""The examples of a page of docs/: what it asks, and what it shows as the answer, as both stand there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^(?P<section>## [^\n]+)$|^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
PROMPT = "$ "


@dataclass(frozen=True)
class Example:
    """`language`: sh or python. `asked`: a command, or a block of Python. `shown`: the answer, "" where the page shows
    none. `before`: the blocks of Python of the same section that came first, whose names this one may use."""

    language: str
    asked: str
    shown: str
    before: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Its first line, for people."""
        return self.asked.strip().splitlines()[0]


@dataclass(frozen=True)
class Block:
    """`is_answer`: nothing but blank lines stand between it and the block before."""

    section: str
    language: str
    text: str
    is_answer: bool


def read_examples(page: Path) -> list[Example]:
    """All of them, in order. Blocks that neither ask nor answer (files to be written, drawings) are none."""
    blocks, found = list(blocks_of(page)), []
    for index, block in enumerate(blocks):
        follows = blocks[index + 1] if index + 1 < len(blocks) and blocks[index + 1].is_answer else None
        if block.language == "sh":
            commands = split_commands(block.text)
            answers = [""] * (len(commands) - 1) + [follows.text if follows and follows.language == "json" else ""]
            found += [Example("sh", *pair) for pair in zip(commands, answers, strict=True)]
        elif block.language == "python":
            is_printed = follows is not None and not follows.language and not follows.text.startswith(PROMPT)
            earlier = [b.text for b in blocks[:index] if b.language == "python" and b.section == block.section]
            found.append(Example("python", block.text, follows.text if follows and is_printed else "", tuple(earlier)))
        elif not block.language and block.text.startswith(PROMPT):
            found += split_session(block.text)
    return found


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    section, end = "", 0
    for match in BLOCK.finditer(text):
        if match["section"]:
            section = match["section"]
        else:
            is_answer = end > 0 and not text[end : match.start()].strip()
            yield Block(section, match["language"], match["text"], is_answer)
            end = match.end()


def split_commands(text: str) -> list[str]:
    """Of a script: a command may go on over lines by a backslash or an open quotation."""
    commands, pending = [], ""
    for line in text.splitlines():
        pending = f"{pending}\n{line}" if pending else line
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:  # a quotation is open
            continue
        if words and not line.endswith("\\"):
            commands.append(pending)
            pending = ""
    assert not pending.strip(), f"this command does not end: {pending}"
    return commands


def split_session(text: str) -> list[Example]:
    """Commands behind a prompt, each with what was printed below it."""
    found = []
    for part in re.split(rf"^{re.escape(PROMPT)}", text, flags=re.MULTILINE)[1:]:
        asked, _, shown = part.partition("\n")
        found.append(Example("sh", asked, shown))
    return found
