"""Whatever a template repeats, it pays for; what it says does not change."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest

from tasks.chat_sandbox import chat_sandbox
from tasks.template_budget import BudgetExceeded

ENDLESS = {
    "loops in loops": "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "loops that pass over everything": "{% for a in range(9999) %}{% for b in range(9999) if false %}{% endfor %}"
    "{% endfor %}",
    "a loop that calls itself": "{% for x in [1] recursive %}{% if loop.depth < 60 %}{{ loop([1, 2]) }}{% endif %}"
    "{% endfor %}",
    "a macro that calls itself": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}"
    "{{ m(60) }}",
    "a block in a loop": "{% for a in range(9999) %}{% block x scoped %}{% for b in range(9999) %}{% endfor %}"
    "{% endblock %}{% endfor %}",
    "a caller in a loop": "{% macro m() %}{{ caller() }}{% endmacro %}{% for a in range(9999) %}{% call m() %}"
    "{% for b in range(9999) %}{% endfor %}{% endcall %}{% endfor %}",
    "a text that doubles": "{% set ns = namespace(s='x') %}{% for a in range(99) %}{% set ns.s = ns.s ~ ns.s %}"
    "{% endfor %}",
    "a sum that doubles": "{% set ns = namespace(s=[1]) %}{% for a in range(99) %}{% set ns.s = ns.s + ns.s %}"
    "{% endfor %}",
    "a macro that doubles": "{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}{% set ns = namespace(s='x') %}"
    "{% for a in range(99) %}{% set ns.s = m(ns.s) %}{% endfor %}",
    "a text that is kept": "{% set c %}{% for a in range(9999) %}{{ 'x' * 9999 }}{% endfor %}{% endset %}",
    "a constant that is kept": "{% set c %}{% for a in range(9999) %}" + "x" * 9999 + "{% endfor %}{% endset %}",
    "a list that is written": "{% set ns = namespace(s=[1]) %}{% for a in range(60) %}{% set ns.s = [ns.s, ns.s] %}"
    "{% endfor %}{{ ns.s }}",
    "a list that is compared": "{% set r = range(9999) | list %}{% for a in range(9999) %}{{ 'x' in r }}{% endfor %}",
    "a list that is sorted": "{% set r = range(9999) | list %}{% for a in range(9999) %}{{ r | max }}{% endfor %}",
    "a list that is cut": "{% set r = range(9999) | list %}{% for a in range(9999) %}{% set x = r[::-1] %}{% endfor %}",
    "a list whose length is asked of a sorted copy": "{% set r = range(9999) | list %}{% for a in range(9999) %}"
    "{{ r | sort | length }}{% endfor %}",
    "a text that a test looks at": "{% set s = 'x' * 99999 %}{% set t = 'x' * 99999 %}{% for a in range(99999) %}"
    "{{ s is eq t }}{% endfor %}",
    "a list that a test looks through": "{% set r = range(99999) | list %}{% for a in range(99999) %}"
    "{{ 'x' is in r }}{% endfor %}",
    "a text that is mapped": "{{ (['x' * 99999] * 99999) | map('upper') | map('length') | sum }}",
    "a list that is mapped": "{{ ([range(9999) | list] * 9999) | map('sort') | map('length') | sum }}",
    "a text that is selected": "{{ (['x' * 99999] * 99999) | select('eq', 'y') | list | length }}",
    "a text that is selected by an attribute": "{{ ([{'a': 'x' * 9999}] * 99999) | selectattr('a', 'lower') | list }}",
    "items that nobody has weighed": "{{ (['x' * 99999] * 99999) | reject('none') | max | length }}",
    "a dictionary that is sorted": "{% set ns = namespace(d={}, s='x' * 9999) %}{% for a in range(999) %}"
    "{% set ns.d = dict(ns.d, **{a | string: ns.s}) %}{{ ns.d | dictsort(by='value') | length }}{% endfor %}",
    "a name that is not there": "{% set s = 'x' * 99999 %}{% for a in range(9999) %}{{ [][s] }}{% endfor %}",
    "a constant name that is not there": "{% for a in range(9999) %}{{ [].x" + "x" * 9999 + " }}{% endfor %}",
    "a text that is looked for at every place": "{{ ('a' * 99999).rfind('ab' + 'a' * 9999) }}",
    "characters that are looked for at every place": "{{ ('a' * 99999).strip('b' * 9999) }}",
    "beginnings that are compared": "{{ ('x' * 9999 ~ 'y').startswith(('x' * 9999 ~ 'z',) * 9999) }}",
    "a list that is counted in": "{% set r = ['x' * 9999] * 9999 %}{{ r.count('x' * 9999) }}",
    "a number that is too long": "{{ ('f' * 9999) | int(base=16) }}",
}


@pytest.mark.parametrize("what", ENDLESS)
def test_nothing_goes_on_for_ever(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.template_budget.MAX_UNITS", 2**22)
    with pytest.raises(BudgetExceeded):
        chat_sandbox().from_string(ENDLESS[what]).render()


MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello <b>"}]


@pytest.mark.parametrize(
    "source",
    [
        "{% for m in messages %}{{ loop.index }}/{{ loop.length }}{{ m.role }}{{ loop.last }}{% endfor %}",
        "{% for m in messages if m.role == 'user' %}{{ m.content }}{% else %}none{% endfor %}",
        "{% for m in messages if m.role == 'tool' %}{{ m.content }}{% else %}none{% endfor %}",
        "{% for x in [[1, [2]], 3] recursive %}{{ loop(x) if x is iterable else x }}{{ loop.depth }}{% endfor %}",
        "{{ messages[::-1] | map(attribute='content') | join(', ') }}{{ messages | length }}{{ messages[1:] }}",
        "{{ messages | selectattr('role', 'equalto', 'user') | list | first }}{{ messages | map('length') | sum }}",
        "{{ 'a' ~ 1 ~ none ~ messages }}{{ 1 < 2 < 3 }}{{ 'H' in messages[0].content }}{{ 7 // 2 * 3 ** 2 % 5 }}",
        "{% macro m(x, y=2) %}{{ x }}-{{ y }}{{ caller() if caller }}{% endmacro %}{{ m(1) }}"
        "{% call m(3) %}c{% endcall %}"
        "{% set x %}{{ messages[0].role }} {% endset %}{{ x | trim | upper }}",
        "{% filter lower | upper | replace('A', 'b') %}ABC{{ messages[0] }}{% endfilter %}",
        "{% set x | upper %}abc{% endset %}{{ x }}{{ '%s-%03d' % ('a', 7) }}{{ '{:>5}'.format('b') }}",
        "{{ 'a,b'.split(',') }}{{ '-'.join(['a', 'b']) }}{{ 'aXa'.replace('a', 'bb') }}{{ gone }}{{ gone is defined }}",
        "{{ {'a': [1, 2]} }}{{ {'a': 1}.items() | list }}{{ 'x\ny' | indent(2) }}{{ 'aa' | replace('a', 'b') }}",
    ],
)
def test_what_a_template_says_stays_as_it_was(source: str) -> None:
    plain = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    assert chat_sandbox().from_string(source).render(messages=MESSAGES) == plain.from_string(source).render(
        messages=MESSAGES
    )


def test_each_rendering_has_a_budget_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.template_budget.MAX_UNITS", 2**14)
    template = chat_sandbox().from_string("{% for m in messages %}{{ m.role }}{% endfor %}")
    texts: list[Any] = [template.render(messages=MESSAGES) for _ in range(50)]
    assert set(texts) == {"userassistant"}
    with pytest.raises(BudgetExceeded):
        template.render(messages=MESSAGES * 50)


def test_a_conversation_pays_for_its_messages_and_not_for_the_square_of_them() -> None:
    """As published templates do that look for the last question, and offer its index to each message."""
    source = (
        "{% set ns = namespace(last=messages | length - 1) %}{% for m in messages[::-1] %}"
        "{% set index = (messages | length - 1) - loop.index0 %}{% if m.role == 'user' %}{% set ns.last = index %}"
        "{% endif %}{% endfor %}{% for m in messages %}{{ messages[loop.index0 - 1].role }}"
        "{{ messages | last is mapping }}{% endfor %}"
    )
    written = chat_sandbox().from_string(source).render(messages=MESSAGES * 5000)
    assert written.startswith("assistantTrueuserTrue")
