"""Whether an answer has the form of the one that a page shows: the same keys at every level, the same kinds of value.

What a page leaves out it marks by "…". Numbers and texts are those of another model and may be others, but for what is
said of an error: that is the same word for word.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any

ELISION = "…"
VERBATIM = ("error", "message")
SAMPLE = re.compile(r"^(\w+)\{(.*)\} \S+$")
LABEL = re.compile(r'(\w+)="([^"]*)"')


def check_answer(shown: str, answered: str) -> None:
    """JSON, server-sent events, an answer with its headers, metrics, or nothing that the page would show. Raises
    AssertionError, which says where the two differ."""
    if shown.startswith("HTTP/"):
        _, _, body = answered.partition("\r\n\r\n")
        check_answer(shown.partition(f"\n{ELISION}\n")[2], body)
    elif shown.startswith("data: "):
        check_events(events_of(shown), events_of(answered))
    elif shown.startswith(("{", "[")):
        check_form(read_json(shown), json.loads(answered))
    else:
        check_metrics(shown, answered)


def read_json(text: str) -> Any:
    """JSON that may leave out the rest of a list or fields of an object."""
    whole = re.sub(rf",\s*{ELISION}(?=\s*\])", f',"{ELISION}"', text)
    return json.loads(re.sub(rf",\s*{ELISION}(?=\s*[}},])", f',"{ELISION}":null', whole))


def check_form(shown: Any, answered: Any, at: str = "$") -> None:
    if isinstance(shown, dict):
        assert isinstance(answered, dict), f"{at}: the page has an object, the server {answered!r}"
        named = shown.keys() - {ELISION}
        is_whole = ELISION not in shown
        assert named == answered.keys() if is_whole else named <= answered.keys(), (
            f"{at}: the page has {sorted(named)}{'' if is_whole else ' and more'}, the server {sorted(answered)}"
        )
        for name in named:
            check_form(shown[name], answered[name], f"{at}.{name}")
    elif isinstance(shown, list):
        assert isinstance(answered, list), f"{at}: the page has a list, the server {answered!r}"
        check_items([item for item in shown if item != ELISION], answered, at)
    elif at.endswith(VERBATIM):
        assert answered == shown, f"{at}: the page has {shown!r}, the server {answered!r}"
    else:
        assert kind_of(answered) == kind_of(shown), f"{at}: the page has {shown!r}, the server {answered!r}"


def check_items(shown: list[Any], answered: list[Any], at: str) -> None:
    """Each item has the form of one that is shown."""
    assert bool(answered) == bool(shown), f"{at}: the page has {len(shown)} items, the server {len(answered)}"
    for index, item in enumerate(answered):
        if len(shown) == 1:
            check_form(shown[0], item, f"{at}[{index}]")
        else:
            assert any(has_form(each, item) for each in shown), f"{at}[{index}]: the page has nothing like {item!r}"


def has_form(shown: Any, answered: Any) -> bool:
    try:
        check_form(shown, answered)
    except AssertionError:
        return False
    return True


def kind_of(value: Any) -> type:
    """Whole numbers are numbers."""
    return float if type(value) is int else type(value)


def events_of(text: str) -> list[Any]:
    return [read_json(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def check_events(shown: list[Any], answered: list[Any]) -> None:
    """Every kind of event that is shown came, no other came, and the last is as the last that is shown."""
    check_items(shown, answered, "data")
    for event in shown:
        assert any(has_form(event, each) for each in answered), f"the page has this event, the server none: {event}"
    check_form(shown[-1], answered[-1], "the last event")


def check_metrics(shown: str, answered: str) -> None:
    """Each sample that is shown is there, of the same model and with the same labels."""
    samples = [SAMPLE.match(line) for line in answered.splitlines()]
    there = {(sample[1], labels_of(sample[2])) for sample in samples if sample}
    for line in shown.splitlines():
        wanted = SAMPLE.match(line)
        assert wanted, f"neither JSON nor a metric: {line!r}"
        assert (wanted[1], labels_of(wanted[2])) in there, f"the page has {line!r}, the server {answered}"


def labels_of(text: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(LABEL.findall(text)))


def check_printed(shown: str, answered: str) -> None:
    """What a block of Python printed: a value in Python's own notation, arrays, or text, of which any will do."""
    assert bool(answered.strip()) == bool(shown.strip()), f"the page has {shown!r}, printed was {answered!r}"
    try:
        check_form(ast.literal_eval(shown.strip()), ast.literal_eval(answered.strip()))
    except (SyntaxError, ValueError):
        if shown.startswith("["):
            assert array_form(answered) == array_form(shown), f"the page has {shown!r}, printed was {answered!r}"


def array_form(printed: str) -> str:
    """Arrays with any number of rows and columns: what they hold, once."""
    kinds = re.sub(r"b'[^']*'", "b", re.sub(r"(?<![b'\w])-?[\d.]+(e[-+]\d+)?", "0", printed))
    columns = re.sub(r"(b|0)(\s+\1)+", r"\1", re.sub(r"\[\s+", "[", kinds))
    return re.sub(r"(\[[b0]\])(\s*\1)+", r"\1", columns).strip()
