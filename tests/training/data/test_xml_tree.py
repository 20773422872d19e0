from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.xml_tree import MalformedXml, line_of, read_xml

BOMB = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;">]>
<lolz>&lol2;</lolz>"""


def test_elements_know_their_line(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<a>\n <b>text</b>\n <b/>\n</a>")
    root = read_xml(tmp_path / "a.xml")
    assert [line_of(element) for element in (root, *root)] == [1, 2, 3]
    assert root.findtext("b") == "text"


def test_entities_are_refused_before_they_grow(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(BOMB)
    with pytest.raises(MalformedXml, match="DOCTYPE") as caught:
        read_xml(tmp_path / "a.xml")
    assert caught.value.line == 2


def test_damage_is_reported_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<a>\n<b>\n</a>")
    with pytest.raises(MalformedXml, match="mismatched tag") as caught:
        read_xml(tmp_path / "a.xml")
    assert caught.value.line == 3
    with pytest.raises(MalformedXml, match="cannot be opened"):
        read_xml(tmp_path / "gone.xml")


@given(st.binary(max_size=40) | st.text(alphabet="<>/ab=\"'!?-[]& x", max_size=40).map(str.encode))
@settings(deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("xml") / "a.xml"
    path.write_bytes(content)
    with suppress(MalformedXml):
        read_xml(path)
