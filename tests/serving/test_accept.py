"""The Accept header: what clients really send, and what they then get."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.accept import JSON, preferred_media_type

PICTURES = ("image/png", "image/jpeg")


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (b"*/*", JSON),
        (b"", JSON),
        (b"application/json", JSON),
        (b"text/csv", JSON),
        (b"image/webp", JSON),
        (b"image/png", "image/png"),
        (b"IMAGE/JPEG", "image/jpeg"),
        (b"image/jpeg, image/png", "image/png"),
        (b"image/jpeg, image/png;q=0.9", "image/jpeg"),
        (b"image/*", "image/png"),
        (b"image/*;q=0.5, image/jpeg", "image/jpeg"),
        (b"image/png, */*", "image/png"),
        (b"image/png, application/json", JSON),
        (b"image/png;q=0.5, application/json;q=0.6", JSON),
        (b"image/png;q=0.5, application/json;q=0.4", "image/png"),
        (b"image/png;q=0, image/*", "image/jpeg"),
        (b"image/png;q=0", JSON),
        (b"image/png ; q=0.8 , */*;q=0.1", "image/png"),
        (b"image/png;q=much", JSON),
        (b"image/png;q=7", JSON),
        (b"image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", "image/png"),
        (b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", JSON),
    ],
)
def test_the_form_that_is_liked_best(accept: bytes, wanted: str) -> None:
    assert preferred_media_type(accept, PICTURES) == wanted


@given(st.binary(max_size=60) | st.text("image/png*;q=0.159, ", max_size=60).map(str.encode))
def test_any_header_is_answered_with_something_that_is_offered(accept: bytes) -> None:
    assert preferred_media_type(accept, PICTURES) in (JSON, *PICTURES)


def test_where_no_picture_is_offered_there_is_json() -> None:
    assert preferred_media_type(b"image/png", ()) == JSON
