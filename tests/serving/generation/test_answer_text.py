from __future__ import annotations

from serving.generation.answer_text import AnswerText


class Halves:
    """A detokeniser whose characters take two tokens."""

    def __init__(self) -> None:
        self.half = ""

    def push(self, token: int) -> str:
        text, self.half = (self.half + chr(token), "") if self.half else ("", chr(token))
        return text

    def flush(self) -> str:
        return "�" if self.half else ""


def pushed(text: AnswerText, tokens: str) -> list[str]:
    return [text.push(ord(token)) for token in tokens]


def test_text_comes_when_it_is_certain() -> None:
    text = AnswerText(Halves(), ("efx",))
    assert pushed(text, "abcdefg") == ["", "ab", "", "cd", "", "", ""]
    assert text.flush() == "ef�"
    assert text.text == "abcdef�"
    assert text.stop_text == ""


def test_nothing_of_a_stop_text_comes_out() -> None:
    text = AnswerText(Halves(), ("bcd",))
    assert pushed(text, "abcd") == ["", "a", "", ""]
    assert (text.flush(), text.text, text.stop_text) == ("", "a", "bcd")


def test_what_comes_out_at_the_end_may_be_a_stop_text_too() -> None:
    text = AnswerText(Halves(), ("b�",))
    assert pushed(text, "abc") == ["", "a", ""]
    assert (text.flush(), text.stop_text) == ("", "b�")
