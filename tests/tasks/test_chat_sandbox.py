"""Published chat templates find what they rely on."""

from __future__ import annotations

from datetime import datetime

import pytest
from jinja2.exceptions import SecurityError

from tasks.chat_sandbox import chat_sandbox
from tasks.template_budget import BudgetExceeded


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("{% for i in [1, 2, 3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "1"),
        ("{% generation %}so{{ ' long' }}{% endgeneration %}.", "so long."),
        ("{{ {'b': '<é>', 'a': 1} | tojson }}", '{"b": "<é>", "a": 1}'),
        ("{{ {'b': 1, 'a': [2]} | tojson(separators=(',', ':'), sort_keys=true) }}", '{"a":[2],"b":1}'),
        ("{{ [1] | tojson(indent=2) }}", "[\n  1\n]"),
        ("{% set ns = namespace(self=1, seen=false) %}{% set ns.seen = true %}{{ ns.seen }}{{ ns.self }}", "True1"),
        ("{{ [{'r': 'a'}, {'r': 'b'}] | selectattr('r', 'in', ['b', 'c']) | map(attribute='r') | join }}", "b"),
        ("{{ messages | default([], true) | length }}{{ 'a<b>c'.rsplit('<b>', 1)[-1].strip(' c') | length }}", "00"),
        ("  {% if true %}\nx\n  {% endif %}\n", "x\n"),
    ],
)
def test_what_templates_rely_on(source: str, written: str) -> None:
    assert chat_sandbox().from_string(source).render() == written


def test_templates_may_tell_the_date() -> None:
    assert chat_sandbox().from_string("{{ strftime_now('%Y') }}").render() in {
        str(year) for year in (datetime.now().year - 1, datetime.now().year)
    }


def test_a_namespace_has_no_underscored_names() -> None:
    with pytest.raises(SecurityError, match="'__class__'"):
        chat_sandbox().from_string("{% set ns = namespace() %}{% set ns.__class__ = 1 %}").render()


def test_a_template_cannot_pay_itself_back() -> None:
    with pytest.raises(SecurityError, match="the filter ' spend'"):
        chat_sandbox().from_string("{{ [-10 ** 12] | map(' spend') | list }}").render()


def test_a_format_of_dates_is_short() -> None:
    with pytest.raises(ValueError, match="at most 100 characters"):
        chat_sandbox().from_string("{{ strftime_now('%c' * 99) }}").render()


@pytest.mark.parametrize("division", ["/", "//", "%", "-"])
def test_numbers_stay_short(division: str) -> None:
    with pytest.raises(BudgetExceeded):
        chat_sandbox().from_string("{{ a " + division + " 7 }}").render(a=10**2000)
