"""The Accept header: which of the forms that an answer can take a client likes best (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Iterable

JSON = "application/json"
MAX_RANGES = 32
"""Media ranges of one header that are looked at."""


def preferred_media_type(accept: bytes, offered: Iterable[str]) -> str:
    """The one of `offered`, or JSON, with the highest quality; between equals the one that is named most exactly, then
    JSON, then the order of `offered`. JSON too where nothing fits: it says more than "406 Not Acceptable" would."""
    ranges = [parse_range(part) for part in accept.decode("latin-1").lower().split(",", MAX_RANGES)[:MAX_RANGES]]
    best, best_rank = JSON, rank_of(JSON, ranges)
    for media_type in offered:
        rank = rank_of(media_type, ranges)
        if rank > best_rank:
            best, best_rank = media_type, rank
    return best


def parse_range(text: str) -> tuple[str, float]:
    """`image/png;q=0.5` → the media range and its quality, 0 to 1. Unreadable qualities count as 0."""
    media_range, *parameters = (part.strip() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return media_range, 0.0
            return media_range, quality if 0 <= quality <= 1 else 0.0
    return media_range, 1.0


def rank_of(media_type: str, ranges: Iterable[tuple[str, float]]) -> tuple[float, int]:
    """Quality and exactness of the most exact range that a media type falls into; (0, 0) where none or not wanted."""
    covering = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    found = [(len(covering) - covering.index(name), quality) for name, quality in ranges if name in covering]
    exactness, quality = max(found, default=(0, 0.0))
    return (quality, exactness) if quality else (0.0, 0)
