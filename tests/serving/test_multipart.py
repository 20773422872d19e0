from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.multipart import MAX_PARTS, is_multipart, parse_form
from tasks.errors import BadInput


def encoded(files: list[bytes], fields: dict[str, str]) -> tuple[bytes, bytes]:
    """Content type and body as a client in the field writes them."""
    request = httpx.Request(
        "POST", "http://x", files=[("file", (f"{i}.jpg", data)) for i, data in enumerate(files)], data=fields
    )
    return request.headers["content-type"].encode(), request.read()


names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.dictionaries(names, st.text(max_size=10)))
def test_files_and_fields_come_back(files: list[bytes], fields: dict[str, str]) -> None:
    content_type, body = encoded(files, fields)
    assert is_multipart(content_type)
    form = parse_form(content_type, body)
    assert form.files == files
    assert form.fields == fields


@given(st.binary(max_size=300))
def test_random_bytes_are_a_form_or_bad_input(body: bytes) -> None:
    for data in (body, b"--b\r\n" + body, b"--b\r\n\r\n" + body + b"\r\n--b--\r\n"):
        try:
            parse_form(b"multipart/form-data; boundary=b", data)
        except BadInput:
            continue


@given(st.integers(0, 400))
def test_a_form_that_is_cut_off_is_refused(length: int) -> None:
    content_type, body = encoded([b"a" * 100], {})
    if length < len(body) - 4:
        with pytest.raises(BadInput):
            parse_form(content_type, body[:length])


@pytest.mark.parametrize("content_type", [b"multipart/form-data", b"multipart/form-data; boundary=" + b"x" * 999])
def test_a_form_without_a_usable_boundary_is_refused(content_type: bytes) -> None:
    with pytest.raises(BadInput):
        parse_form(content_type, b"--x\r\n")


def test_more_parts_than_a_request_may_have_are_refused() -> None:
    content_type, body = encoded([b"x"] * (MAX_PARTS + 1), {})
    with pytest.raises(BadInput, match="parts"):
        parse_form(content_type, body)
