"""The Jinja environment of chat templates: what `transformers` offers them, in a sandbox.

Templates come with published models and are code that strangers wrote. They reach nothing but what they are given,
change none of it, and come to an end: whatever they repeat, call or put together is paid for from a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from tasks.chat_filters import NOT_OFFERED, OFFERED
from tasks.template_budget import CALL, TemplateBudget
from tasks.template_meter import METERS, MeteredContext, MeteredGenerator, before_filter, before_test

WIDENING = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs", "translate", "format_map", "to_bytes"})
"""Methods of texts and numbers that fill up to any width. No chat needs them."""
SEARCHING = frozenset({"rfind", "rindex", "rpartition", "rsplit", "strip", "lstrip", "rstrip"})
"""Methods of texts that may take as long as both texts multiplied."""
MAX_DATE_FORMAT = 100
"""Characters."""


class Refusal(jinja2.TemplateError):
    """What a template says about messages that it does not take."""


class GenerationTag(Extension):
    """`{% generation %}` marks what the assistant wrote, for training. Here it means what it encloses."""

    tags = {"generation"}  # noqa: RUF012, as the base class has it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class PlainNamespace(Namespace):
    """Without the underscored names that Python's own machinery goes by."""

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        for name in dict(*args, **kwargs):
            check_name(name)
        super().__init__(*args, **kwargs)

    def __setitem__(self, name: str, value: Any) -> None:
        check_name(name)
        super().__setitem__(name, value)

    def __repr__(self) -> str:
        """Not what it holds, which nobody has weighed."""
        return "<Namespace>"


def check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace may not have the name {name!r}: it begins with an underscore")


class ChatSandbox(ImmutableSandboxedEnvironment):
    """Each rendering has a budget, in its context."""

    context_class = MeteredContext
    code_generator_class = MeteredGenerator
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "**", "%"})

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return attr not in WIDENING and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        assert isinstance(context, MeteredContext)
        context.budget.operate(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Its names are those of the base class: no argument of a template can have them."""
        assert isinstance(__context, MeteredContext)
        budget = __context.budget
        method = getattr(__obj, "__wrapped__", __obj)  # `format` comes wrapped
        owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
        budget.spend(CALL)
        budget.count(owner)
        for value in (*args, *kwargs.values()):
            budget.count(value)
        if isinstance(owner, str | bytes):
            args = before_text_call(budget, owner, name, args, kwargs)
        elif name in ("index", "count"):
            budget.weigh(owner)
        result = super().call(__context, __obj, *args, **kwargs)
        budget.count(result)
        return result

    def call_filter(
        self,
        name: str,
        value: Any,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        context: Context | None = None,
        eval_ctx: nodes.EvalContext | None = None,
    ) -> Any:
        """What `map` does to each item."""
        assert isinstance(context, MeteredContext)
        if name in METERS:
            raise SecurityError(f"a template may not use the filter {name!r}")
        context.budget.spend(CALL)
        value = before_filter(context.budget, value, name)
        result = super().call_filter(name, value, args, kwargs, context, eval_ctx)
        context.budget.count(result)
        return result

    def call_test(
        self,
        name: str,
        value: Any,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        context: Context | None = None,
        eval_ctx: nodes.EvalContext | None = None,
    ) -> Any:
        """What `select` and `reject` ask of each item."""
        assert isinstance(context, MeteredContext)
        context.budget.spend(CALL)
        before_test(context.budget, name, [value, *(args or ()), *(kwargs or {}).values()])
        return super().call_test(name, value, args, kwargs, context, eval_ctx)


def before_text_call(
    budget: TemplateBudget, text: str | bytes, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, ...]:
    """Pay for what a method of a text makes, where that may be far larger than what it is given → its arguments."""
    if name == "format":
        budget.fill_in_braces(str(text), [*args, *kwargs.values()])
    elif name == "replace" and len(args) > 1:
        budget.replace(text, args[0], args[1])
    elif name == "join" and args:
        args = (list(args[0]), *args[1:])
        budget.join(text, args[0])
    for value in (*args, *kwargs.values()):
        if name in SEARCHING and isinstance(value, str | bytes):
            budget.search(text, value)
        elif isinstance(value, tuple):
            budget.weigh(value)  # of beginnings or ends, each of which is compared
    return args


def chat_sandbox() -> ChatSandbox:
    """A new environment, with the filters and functions that published templates rely on."""
    sandbox = ChatSandbox(trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, "jinja2.ext.loopcontrols"])
    for name in NOT_OFFERED:
        del sandbox.filters[name]
    del sandbox.globals["lipsum"]
    sandbox.filters |= {**OFFERED, **METERS}
    sandbox.globals |= {"raise_exception": refuse, "strftime_now": strftime_now, "namespace": PlainNamespace}
    return sandbox


def strftime_now(format: str) -> str:
    """Today's date, which some templates tell the model."""
    if len(format) > MAX_DATE_FORMAT:
        raise ValueError(f"strftime_now takes a format of at most {MAX_DATE_FORMAT} characters")
    return datetime.now().strftime(format)


def refuse(message: str) -> NoReturn:
    raise Refusal(message)
