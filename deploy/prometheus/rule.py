"""Rules of Prometheus as values, and the file that they become."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Recording:
    """`record` is from then on what `expression` gives, with `labels` added."""

    record: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Alert:
    """Fires once `expression` has given something for `hold` without a break.

    `runbook`: the page for whoever is woken by it, by its name in docs/runbooks/ and without ".md".
    """

    name: str
    expression: str
    hold: str
    severity: str
    runbook: str
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other, every `interval`, so that each sees what those before recorded."""

    name: str
    interval: str
    rules: Sequence[Recording | Alert]


def file_text(comment: str, groups: Sequence[Group], runbooks: str) -> str:
    """The YAML of a rule file. `runbooks`: the address under which the pages are read."""
    lines = [f"# {line}" for line in comment.splitlines()]
    lines.append("groups:")
    for group in groups:
        lines += [f"  - name: {group.name}", f"    interval: {group.interval}", "    rules:"]
        for rule in group.rules:
            lines += recording_lines(rule) if isinstance(rule, Recording) else alert_lines(rule, runbooks)
    return "\n".join(lines) + "\n"


def recording_lines(rule: Recording) -> Iterator[str]:
    yield f"      - record: {rule.record}"
    yield from expression_lines(rule.expression)
    if rule.labels:
        yield "        labels:"
        yield from label_lines(rule.labels)


def alert_lines(rule: Alert, runbooks: str) -> Iterator[str]:
    yield f"      - alert: {rule.name}"
    yield from expression_lines(rule.expression)
    yield f"        for: {rule.hold}"
    yield "        labels:"
    yield f"          severity: {rule.severity}"
    yield from label_lines(rule.labels)
    yield "        annotations:"
    yield f"          summary: {quoted(rule.summary)}"
    yield f"          description: {quoted(rule.description)}"
    yield f"          runbook_url: {quoted(f'{runbooks}/{rule.runbook}.md')}"


def label_lines(labels: Mapping[str, str]) -> Iterator[str]:
    yield from (f"          {name}: {quoted(value)}" for name, value in labels.items())


def expression_lines(expression: str) -> Iterator[str]:
    """PromQL as a literal block: it stays as readable as it was written."""
    yield "        expr: |-"
    yield from textwrap.indent(textwrap.dedent(expression).strip(), " " * 10).splitlines()


def quoted(text: str) -> str:
    """A YAML string in single quotes, in which nothing but the quote itself means anything."""
    return "'" + text.replace("'", "''") + "'"
