"""XML as a tree whose elements know their line. Documents that declare types or entities are refused.

Entities that expand into each other are how a small file fills a memory ("billion laughs"); annotations need none.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from tasks.errors import BadInput

LINE = "{line}"
"""The attribute that holds an element's line; no XML document can have one of this name."""


class MalformedXml(BadInput):
    """Text that is no XML, or XML of a kind that is refused."""

    def __init__(self, complaint: str, line: int) -> None:
        super().__init__(complaint)
        self.line = line


def read_xml(path: Path) -> Element:
    """The root element of a file. Raises MalformedXml, which knows the line."""
    parser, builder = expat.ParserCreate(), TreeBuilder()

    def start(tag: str, attributes: dict[str, str]) -> None:
        builder.start(tag, {**attributes, LINE: str(parser.CurrentLineNumber)})

    def refuse(*_: object) -> None:
        raise MalformedXml("a DOCTYPE is not accepted; remove it", parser.CurrentLineNumber)

    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        raise MalformedXml(f"not XML ({expat.ErrorString(error.code)})", error.lineno) from error
    except (LookupError, ValueError) as error:
        raise MalformedXml(f"not XML in a known encoding ({error})", 1) from error
    except OSError as error:
        raise MalformedXml(f"the file cannot be opened ({error.strerror})", 1) from error
    return builder.close()


def line_of(element: Element) -> int:
    """Where an element begins in its file, from 1 on."""
    return int(element.attrib[LINE])
