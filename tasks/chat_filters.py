"""Filters of chat templates whose result may be far larger than what they are given: they ask what is left to spend.

Jinja's own `center`, `batch`, `slice`, `striptags`, `urlencode`, `urlize`, `wordcount`, `wordwrap` and `pprint` are not
offered: no chat needs them, and they fill up to any width, or look long at every character.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import filters, pass_context

from tasks.template_meter import MeteredContext

MAX_JSON_SPACE = 16
"""Characters of an indentation, or of what separates two fields."""
NOT_OFFERED = ("center", "batch", "slice", "striptags", "urlencode", "urlize", "wordcount", "wordwrap", "pprint")
TITLE = 64
"""Units of a character that is made part of a title: Jinja takes a text apart by an expression for it."""


@pass_context
def to_json(
    context: MeteredContext,
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Unlike Jinja's own filter, which escapes what HTML needs escaped."""
    spaces = (indent or 0, *(len(separator) for separator in separators or ()))
    if max(spaces) > MAX_JSON_SPACE:
        raise ValueError(f"tojson takes an indent or separators of at most {MAX_JSON_SPACE} characters")
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


@pass_context
def replace(context: MeteredContext, value: Any, old: str, new: str, count: int | None = None) -> str:
    text = str(value)
    context.budget.replace(text, str(old), str(new))
    return filters.do_replace(context.eval_ctx, text, old, new, count)


@pass_context
def join(context: MeteredContext, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        value = map(filters.make_attrgetter(context.environment, attribute), value)
    items = list(value)
    context.budget.join(str(d), items)
    return filters.sync_do_join(context.eval_ctx, items, d)


@pass_context
def indent(context: MeteredContext, value: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    text = str(value)
    context.budget.spend(len(text.splitlines()) * (len(width) if isinstance(width, str) else max(width, 0)))
    return filters.do_indent(text, width, first, blank)


@pass_context
def fill_in(context: MeteredContext, value: Any, *args: Any, **kwargs: Any) -> str:
    text = str(value)
    context.budget.fill_in(text, kwargs or args)
    return filters.do_format(text, *args, **kwargs)


@pass_context
def title(context: MeteredContext, value: Any) -> str:
    text = str(value)
    context.budget.spend(TITLE * len(text))
    return filters.do_title(text)


@pass_context
def total(context: MeteredContext, value: Iterable[Any], attribute: str | int | None = None, start: float = 0) -> Any:
    """Of numbers: lists would be copied once for each of them."""
    if not isinstance(start, int | float):
        raise TypeError("sum adds numbers; it takes no other start")
    return filters.sync_do_sum(context.environment, value, attribute, start)


OFFERED: Mapping[str, Any] = {
    "tojson": to_json,
    "replace": replace,
    "join": join,
    "indent": indent,
    "format": fill_in,
    "sum": total,
    "title": title,
}
