"""The meter of chat templates: puts into a template, when it is compiled, what counts the work that it does.

Jinja lets a sandbox see calls and operators. Loops, filters, comparisons and what is written are seen here: they become
expressions that go through one of three filters whose names no template can write.
"""

# ruff: noqa: N802, because Jinja's visitors are named after its nodes
from __future__ import annotations

from typing import Any, TypeVar

from jinja2 import nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context
from jinja2.visitor import NodeTransformer

from tasks.template_budget import STEP, TemplateBudget

SPEND, COUNT, WEIGH = " spend", " count", " weigh"
NODE = 8
"""Units of each part of what is repeated."""
SHALLOW = frozenset({"attr", "count", "d", "default", "dictsort", "first", "items", "last", "length", "list"}) | {
    *("map", "random", "reject", "rejectattr", "reverse", "select", "selectattr")
}
"""Filters that do not look into the items of a list."""
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


METERS = {SPEND: spend, COUNT: count, WEIGH: weigh}


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
        if node.node is not None:
            node.node = through(COUNT if node.name in SHALLOW else WEIGH, node.node)
        return through(COUNT, node)

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
        return through(COUNT, node) if isinstance(node.arg, nodes.Slice) else node


def through(meter: str, node: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, meter, [], [], None, None, lineno=node.lineno)


def spending(node: nodes.Node) -> nodes.Filter:
    """What one pass through its code costs."""
    parts = list(node.find_all(nodes.Node))
    text = sum(len(part.data) for part in parts if isinstance(part, nodes.TemplateData))
    return through(SPEND, nodes.Const(STEP + NODE * len(parts) + text, lineno=node.lineno))
