"""Messages become a prompt by the package's template, and nothing else comes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.chat_template import ChatTemplate
from tasks.errors import BadInput, InvalidPackage

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
ALTERNATING = """{{ bos_token }}
{%- for message in messages %}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('roles must alternate user/assistant') }}
    {%- endif %}
    {{- '[INST] ' + message.content | trim + ' [/INST]' if message.role == 'user' else message.content + eos_token }}
{%- endfor %}"""
HELLO = {"role": "user", "content": "Hello"}


def template(folder: Path, source: str, max_characters: int = 1000) -> ChatTemplate:
    path = folder / "chat.jinja"
    path.write_text(source, "utf-8")
    return ChatTemplate(path, {"bos_token": "<s>", "eos_token": "</s>"}, max_characters)


def test_messages_stand_as_the_model_was_trained(tmp_path: Path) -> None:
    chat = template(tmp_path, CHATML)
    prompt = chat.render([{"role": "system", "content": "Be brief."}, HELLO])
    assert prompt == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_model_s_own_tokens_are_known_by_name(tmp_path: Path) -> None:
    messages = [HELLO, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": " And you? "}]
    prompt = template(tmp_path, ALTERNATING).render(messages)
    assert prompt == "<s>[INST] Hello [/INST]Hi</s>[INST] And you? [/INST]"


def test_what_the_template_refuses_is_the_caller_s_fault(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="refuses these messages: roles must alternate user/assistant"):
        template(tmp_path, ALTERNATING).render([HELLO, HELLO])


def test_parts_of_text_are_one_text(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    chat = template(tmp_path, CHATML)
    assert chat.render([{"role": "user", "content": parts}]) == chat.render([HELLO])


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([], "messages is empty"),
        ([HELLO, {"content": "Hello"}], r"messages\[1\] needs a role"),
        ([{"role": "", "content": "Hello"}], r"messages\[0\] needs a role"),
        ([{"role": 5, "content": "Hello"}], r"messages\[0\] needs a role"),
        ([{"role": "user"}], r"messages\[0\] needs a content"),
        ([{"role": "user", "content": None}], r"messages\[0\] needs a content"),
        ([{"role": "user", "content": {"text": "Hello"}}], r"messages\[0\] needs a content"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "a part that is no text"),
        ([{"role": "user", "content": ["Hello"]}], "a part that is no text"),
        ([{"role": "user", "content": [{"type": "text"}]}], "a part that is no text"),
    ],
)
def test_messages_that_are_none(tmp_path: Path, messages: list[dict[str, object]], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        template(tmp_path, CHATML).render(messages)


def test_a_message_cannot_speak_jinja(tmp_path: Path) -> None:
    content = "{{ 7 * 7 }}{% raw %}"
    assert content in template(tmp_path, CHATML).render([{"role": "user", "content": content}])


def test_a_prompt_that_no_context_could_hold_is_not_written_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="more than 100 characters"):
        template(tmp_path, CHATML, max_characters=100).render([HELLO] * 100)
    endless = "{% if messages[0].content == 'go' %}{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}{% endif %}"
    with pytest.raises(BadInput, match="more than 1,000 characters"):
        template(tmp_path, endless).render([{"role": "user", "content": "go"}])


def test_a_template_that_does_not_end_is_stopped_and_says_what_to_do(tmp_path: Path) -> None:
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    with pytest.raises(InvalidPackage, match="too much work: a loop without end"):
        template(tmp_path, endless)
    waiting = template(tmp_path, "{% if messages | length > 1 %}" + endless + "{% endif %}")
    assert waiting.render([HELLO]) == ""
    with pytest.raises(BadInput, match="send fewer or shorter messages, or correct the template"):
        waiting.render([HELLO, HELLO])


@given(
    st.lists(st.dictionaries(st.sampled_from(["role", "content", "name"]), st.text(max_size=5) | st.none()), max_size=4)
)
def test_no_messages_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, messages: list[dict[str, object]]
) -> None:
    chat = template(tmp_path_factory.mktemp("template"), ALTERNATING)
    try:
        assert chat.render(messages).startswith("<s>")
    except BadInput as error:
        assert "messages" in str(error)  # noqa: PT017


BROKEN = {
    "no template": "{% for message in messages %}",
    "an unknown filter": "{{ messages | shout }}",
    "reaching for Python": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "reaching for it by a namespace": "{{ namespace(__class__=1) }}",
    "changing its messages": "{{ messages.append(1) }}",
    "a division by zero": "{{ 1 / 0 }}",
    "no chat without a system message": "{{ raise_exception('system first') }}",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_template_that_cannot_put_one_message_is_no_package_s(tmp_path: Path, what: str) -> None:
    with pytest.raises(InvalidPackage, match=r"chat\.jinja can not put one message of a user"):
        template(tmp_path, BROKEN[what])


def test_a_template_that_waits_to_break_out(tmp_path: Path) -> None:
    source = "{% if messages | length > 1 %}{{ messages.clear() }}{% endif %}"
    with pytest.raises(InvalidPackage, match="what its sandbox forbids"):
        template(tmp_path, source).render([HELLO, HELLO])


def test_a_template_that_is_missing_or_huge_or_no_text(tmp_path: Path) -> None:
    path = tmp_path / "chat.jinja"
    for content, complaint in ((None, "can not be read"), (b"\xff", "can not be read"), (b" " * 2**21, "at most")):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InvalidPackage, match=complaint):
            ChatTemplate(path, {}, 1000)
