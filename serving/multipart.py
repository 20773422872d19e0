"""multipart/form-data: several files and form fields in one body (RFC 7578)."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from tasks.errors import BadInput

MAX_PARTS = 256


@dataclass(slots=True)
class Form:
    """The files in order, and the other fields by name."""

    files: list[bytes] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


class FormReader:
    """Collects what the parser reports; a part with a file name is a file."""

    def __init__(self) -> None:
        self.form = Form()
        self.ended = False
        self._num_parts = 0
        self._header_name, self._header_value = b"", b""
        self._disposition = b""
        self._data: list[bytes] = []

    def on_part_begin(self) -> None:
        self._num_parts += 1
        if self._num_parts > MAX_PARTS:
            raise BadInput(f"the form has more than {MAX_PARTS} parts; send it in several requests")
        self._disposition, self._data = b"", []

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name, self._header_value = b"", b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def on_part_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        content = b"".join(self._data)
        if b"filename" in options:
            self.form.files.append(content)
            return
        name = options.get(b"name", b"")
        try:
            self.form.fields[name.decode()] = content.decode()
        except UnicodeDecodeError as error:
            raise BadInput(f"form field {name!r} is not UTF-8; give a file part a file name") from error

    def on_end(self) -> None:
        self.ended = True


def is_multipart(content_type: bytes) -> bool:
    return content_type[:20].lower().startswith(b"multipart/form-data")


def parse_form(content_type: bytes, body: bytes) -> Form:
    """A whole body → its files and fields. Raises BadInput for one that is damaged or ends early."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise BadInput("multipart/form-data needs a boundary in its content type")
    reader = FormReader()
    try:
        MultipartParser(
            boundary,
            {
                "on_part_begin": reader.on_part_begin,
                "on_header_field": reader.on_header_field,
                "on_header_value": reader.on_header_value,
                "on_header_end": reader.on_header_end,
                "on_part_data": reader.on_part_data,
                "on_part_end": reader.on_part_end,
                "on_end": reader.on_end,
            },
        ).write(body)
    except FormParserError as error:
        raise BadInput(f"the form is damaged: {error}") from error
    if not reader.ended:
        raise BadInput("the form ends too early: its closing boundary is missing")
    return reader.form
