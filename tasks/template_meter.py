"""The meter of chat templates: puts into a template, when it is compiled, what counts the work that it does.

Jinja lets a sandbox see calls and operators. Loops, filters, comparisons and what is written are seen here: they become
expressions that go through one of four filters whose names no template can write.
"""

# ruff: noqa: N802, because Jinja's visitors are named after its nodes
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from jinja2 import nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context
from jinja2.visitor import NodeTransformer

from tasks.template_budget import STEP, TemplateBudget

SPEND, COUNT, WEIGH, TAKE = " spend", " count", " weigh", " take"
NODE = 8
"""Units of each part of what is repeated."""
FREE = frozenset({"attr", "count", "d", "default", "first", "last", "length"})
"""Filters that take the same time whatever they are given."""
SHALLOW = frozenset({"items", "list", "map", "random", "reject", "rejectattr", "reverse", "select", "selectattr"})
"""Filters that do not look into the items of a list."""
LOOKING = frozenset(
    {"eq", "equalto", "==", "ne", "!=", "lt", "lessthan", "<", "le", "<=", "gt", "greaterthan", ">"}
) | {*("ge", ">=", "in", "lower", "upper")}
"""Tests that look at all of what they are given."""
Value = TypeVar("Value")
Repeated = TypeVar("Repeated", nodes.For, nodes.Macro, nodes.CallBlock)


class MeteredContext(Context):
    """What a rendering knows: its variables, and what it may still spend."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.budget = TemplateBudget()

    def derived(self, locals: dict[str, Any] | None = None) -> Context:
        derived = super().derived(locals)
        assert isinstance(derived, MeteredContext)
        derived.budget = self.budget
        return derived


@pass_context
def spend(context: MeteredContext, units: int) -> bool:
    context.budget.spend(units)
    return True


@pass_context
def count(context: MeteredContext, value: Value) -> Value:
    context.budget.count(value)
    return value


@pass_context
def weigh(context: MeteredContext, value: Value) -> Value:
    context.budget.weigh(value)
    return value


@pass_context
def take(context: MeteredContext, value: object, name: str) -> object:
    return before_filter(context.budget, value, name)


METERS = {SPEND: spend, COUNT: count, WEIGH: weigh, TAKE: take}


def before_filter(budget: TemplateBudget, value: object, name: str) -> object:
    """Pay for what the filter of this name will look at → its input, where that was an iterator as a list."""
    if name in SHALLOW:
        budget.count(value)
    elif name not in FREE:
        value = list(value) if isinstance(value, Iterator) else value
        budget.weigh(value)
    return value


def before_test(budget: TemplateBudget, name: str, values: Sequence[object]) -> None:
    """The same for a test; `values`: its input and what it is compared with."""
    if name in LOOKING:
        budget.weigh(values)


class MeteredGenerator(CodeGenerator):
    """Compiles templates with the meter in them."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:
        super().visit_Template(Meter().visit(node), frame)


class Meter(NodeTransformer):
    """Changes a parsed template."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        step = spending(node)
        if node.test is not None:
            node.test = nodes.And(spending(node), node.test, lineno=node.lineno)
        return self._repeated(node, step)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Macro:
        return self._repeated(node, spending(node))

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.CallBlock:
        return self._repeated(node, spending(node))

    def _repeated(self, node: Repeated, step: nodes.Expr) -> Repeated:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(step, lineno=node.lineno))
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Filter:
        self.generic_visit(node)
        if node.name in FREE:
            return node
        if node.node is not None:
            node.node = through(TAKE, node.node, nodes.Const(node.name))
        return through(COUNT, node)

    def visit_Test(self, node: nodes.Test) -> nodes.Test:
        self.generic_visit(node)
        if node.name in LOOKING:
            node.node = through(WEIGH, node.node)
            node.args = [through(WEIGH, each) for each in node.args]
            node.kwargs = [nodes.Pair(pair.key, through(WEIGH, pair.value)) for pair in node.kwargs]
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:
        self.generic_visit(node)
        node.expr = through(WEIGH, node.expr)
        for operand in node.ops:
            operand.expr = through(WEIGH, operand.expr)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Concat:
        self.generic_visit(node)
        node.nodes = [through(WEIGH, each) for each in node.nodes]
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Output:
        self.generic_visit(node)
        node.nodes = [each if isinstance(each, nodes.TemplateData) else through(WEIGH, each) for each in node.nodes]
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            return through(COUNT, node)
        if not isinstance(node.arg, nodes.Const):
            node.arg = through(WEIGH, node.arg)  # what is not found is named in the complaint about it
        return node


def through(meter: str, node: nodes.Expr, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, meter, list(args), [], None, None, lineno=node.lineno)


def spending(node: nodes.Node) -> nodes.Filter:
    """What one pass through its code costs."""
    parts = list(node.find_all(nodes.Node))
    written = [part.data for part in parts if isinstance(part, nodes.TemplateData)]
    named = [part.value for part in parts if isinstance(part, nodes.Const) and isinstance(part.value, str)]
    named += [part.attr for part in parts if isinstance(part, nodes.Getattr)]
    num_characters = sum(map(len, written + named))
    return through(SPEND, nodes.Const(STEP + NODE * len(parts) + num_characters, lineno=node.lineno))
