from __future__ import annotations

import pytest

from tasks.chat_sandbox import chat_sandbox
from tasks.template_budget import BudgetExceeded


def written(source: str) -> str:
    return chat_sandbox().from_string(source).render()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ 'a-b' | replace('-', '+') }}{{ 'aaa' | replace('a', 'b', 2) }}", "a+bbba"),
        ("{{ [1, 'b'] | join('-') }}{{ [{'n': 1}, {'n': 2}] | join(', ', attribute='n') }}", "1-b1, 2"),
        ("{{ 'a\nb' | indent(2) }}{{ 'a' | indent('> ', first=true) }}", "a\n  b> a"),
        ("{{ '%s is %d' | format('x', 3) }}{{ '%(a)s' | format(a=1) }}", "x is 31"),
        ("{{ [1, 2.5] | sum }}{{ [{'n': 1}, {'n': 2}] | sum(attribute='n') }}", "3.53"),
        ("{{ 'a role' | title }}{{ ['x'] | map('title') | join }}", "A RoleX"),
        ("{{ ['a', 'b'] | map('replace', 'a', 'c') | join }}", "cb"),
    ],
)
def test_they_do_what_jinja_s_own_do(source: str, text: str) -> None:
    assert written(source) == text


@pytest.mark.parametrize(
    "source",
    [
        "{{ ('a' * 100000) | replace('a', 'b' * 100000) }}",
        "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
        "{{ (['a'] * 100000) | join('b' * 100000) }}",
        "{{ ('b' * 100000).join(range(99999) | map('string')) }}",
        "{{ ('a\n' * 100000) | indent(100000) }}",
        "{{ '%999999999d' | format(1) }}",
        "{{ ('a ' * 9999999) | title }}",
        "{{ '{:999999999}'.format(1) }}",
        "{{ '{:{}}'.format(1, 999999999) }}",
        "{{ ['%999999999d'] | map('format', 1) | list }}",
        "{% filter replace('a', 'b' * 100000) %}{{ 'a' * 100000 }}{% endfilter %}",
    ],
)
def test_nothing_is_made_that_would_be_huge(source: str) -> None:
    with pytest.raises(BudgetExceeded):
        written(source)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("{{ [1] | tojson(indent=1000) }}", "at most 16 characters"),
        ("{{ [[1]] | sum(start=[]) }}", "adds numbers"),
        ("{{ 'x' | center(9) }}", "No filter named 'center'"),
        ("{{ 'x'.ljust(9) }}", "'ljust' of 'str' object is unsafe"),
        ("{{ (1).to_bytes(9, 'big') }}", "'to_bytes' of 'int' object is unsafe"),
        ("{{ lipsum() }}", "'lipsum' is undefined"),
    ],
)
def test_what_is_not_offered_says_so(source: str, complaint: str) -> None:
    with pytest.raises(Exception, match=complaint):
        written(source)
