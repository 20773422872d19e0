"""What the decoder makes of bad pictures: BadInput or TooLarge naming the cause, and no other exception."""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.errors import BadInput, TooLarge
from tasks.image import ImageSpec, decode_image, place_image, resize_image
from tests.pictures import FORMATS, encode, exif, png_chunk, png_of_zeros, png_with, scene

SPEC = ImageSpec(height=32, width=32)
MAGIC = (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"GIF89a", b"BM")
VALID = {kind: encode(scene(60, 80), kind) for kind in FORMATS} | {
    "progressive": encode(scene(60, 80), "JPEG", progressive=True, exif=exif(6)),
    "interlaced palette": encode(scene(60, 80).quantize(16), "PNG", transparency=3),
    "lossy webp": encode(scene(60, 80), "WEBP", lossless=False),
}


def exact_size_or_refusal(payload: bytes) -> None:
    try:
        decoded = decode_image(payload, SPEC)
    except BadInput:
        return
    placement = place_image(decoded.original_height, decoded.original_width, SPEC)
    assert resize_image(decoded.pixels, placement, SPEC).shape == (32, 32, 3)


@pytest.fixture(autouse=True)
def _every_warning_is_an_error() -> Iterator[None]:
    """Whatever Pillow warns about must not reach a caller as an exception of another kind."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(MAGIC), st.binary(max_size=400))
def test_random_bytes_are_refused(magic, noise):
    exact_size_or_refusal(magic + noise)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(sorted(VALID)), st.data())
def test_altered_files_are_read_or_refused(kind, data):
    payload = bytearray(VALID[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload) - 1)) if data.draw(st.booleans()) else data.draw(st.integers(0, 60))
        match data.draw(st.sampled_from(["overwrite", "insert", "cut"])):
            case "overwrite":
                noise = data.draw(st.binary(min_size=1, max_size=4))
                payload[at : at + len(noise)] = noise
            case "insert":
                payload[at:at] = data.draw(st.binary(min_size=1, max_size=16))
            case "cut":
                del payload[at : at + data.draw(st.integers(1, 64))]
    exact_size_or_refusal(bytes(payload))


@pytest.mark.parametrize("kind", sorted(VALID))
def test_a_truncated_file_is_damaged_wherever_it_was_cut(kind):
    whole = VALID[kind]
    for length in range(1, len(whole) * 9 // 10, max(1, len(whole) // 60)):
        with pytest.raises(BadInput, match=r"damaged or cut short|cannot be read|not an image"):
            decode_image(whole[:length], SPEC)


def test_an_empty_file_is_called_empty():
    with pytest.raises(BadInput, match="empty"):
        decode_image(b"", SPEC)


@pytest.mark.parametrize("payload", [b"hello", b"%PDF-1.7\n", b"<svg/>", b"II*\0" + bytes(50), b"PK\x03\x04"])
def test_other_files_are_not_images(payload):
    with pytest.raises(BadInput, match="not an image"):
        decode_image(payload, SPEC)


def header_of(kind: str, width: int, height: int) -> bytes:
    """A file whose header claims this size and that has no pixels to show for it."""
    if kind == "JPEG":
        payload = VALID["JPEG"]
        at = payload.index(b"\xff\xc0") + 5
        return payload[:at] + struct.pack(">HH", height, width) + payload[at + 4 :]
    if kind == "GIF":
        return b"GIF89a" + struct.pack("<HH", width, height) + VALID["GIF"][10:]
    if kind == "BMP":
        return VALID["BMP"][:18] + struct.pack("<ii", width, height) + VALID["BMP"][26:]
    if kind == "WEBP":
        canvas = bytes(4) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
        chunks = b"VP8X" + struct.pack("<I", 10) + canvas + VALID["WEBP"][12:]
        return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b""))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (65_535, 65_535), (60_000, 1_100)])
def test_a_hundred_megapixels_are_refused_from_the_header(kind, width, height):
    with pytest.raises(TooLarge, match=f"{width}×{height} pixels; at most 64000000"):
        decode_image(header_of(kind, width, height), SPEC)


def test_a_webp_canvas_beyond_all_measure_is_refused():
    with pytest.raises(BadInput):
        decode_image(header_of("WEBP", 16_000_000, 250), SPEC)


def test_the_limit_can_be_lowered_and_includes_its_own_value():
    with pytest.raises(TooLarge, match="at most 4799 pixels"):
        decode_image(VALID["PNG"], SPEC, max_pixels=60 * 80 - 1)
    assert decode_image(VALID["PNG"], SPEC, max_pixels=60 * 80).original_width == 80


def test_a_png_that_would_unpack_to_a_hundred_megapixels_is_refused():
    payload = png_of_zeros(10_000, 10_000)
    assert len(payload) < 20_000
    with pytest.raises(TooLarge):
        decode_image(payload, SPEC)


def test_a_side_longer_than_any_camera_is_refused():
    with pytest.raises(TooLarge, match="a side may have at most"):
        decode_image(png_of_zeros(1, 70_000), SPEC)


@pytest.mark.parametrize("coding", ["progressive", "arithmetic"])
def test_a_jpeg_of_endless_scans_is_refused(coding):
    whole = encode(Image.new("L", (4000, 4000)), "JPEG", progressive=coding == "progressive")
    assert decode_image(whole, SPEC).original_width == 4000
    last_scan = whole[whole.rindex(b"\xff\xda") : -2][:200]
    payload = whole[:-2] + last_scan * 100 + whole[-2:]
    if coding == "arithmetic":
        payload = payload.replace(b"\xff\xc0", b"\xff\xc9", 1)
    with pytest.raises(TooLarge, match="scans; send it as baseline"):
        decode_image(payload, SPEC)


def run_length_bmp(width: int, height: int) -> bytes:
    rows = b"\x05\x01\0\0" * height + b"\0\1"
    palette = bytes(range(256)) * 4
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(rows), 0, 0, 256, 0)
    offset = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + header + palette + rows


def test_a_run_length_bmp_is_read_up_to_its_own_limit():
    assert decode_image(run_length_bmp(50, 40), SPEC).original_width == 50
    with pytest.raises(TooLarge, match="run-length"):
        decode_image(run_length_bmp(7_000, 7_000), SPEC)


def webp_header(width: int, height: int) -> bytes:
    """A lossless WebP of that size whose pixels are missing."""
    data = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + bytes(21)
    chunk = b"VP8L" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def test_a_webp_has_a_limit_of_its_own() -> None:
    with pytest.raises(BadInput, match="damaged"):
        decode_image(webp_header(100, 100), SPEC)
    with pytest.raises(TooLarge, match="send it as JPEG"):
        decode_image(webp_header(8_000, 5_000), SPEC)


ZEROS = zlib.compress(bytes(80_000_000))


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"zTXt", b"Comment\0\0" + ZEROS),
        png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + ZEROS),
        png_chunk(b"iCCP", b"profile\0\0" + ZEROS),
        png_chunk(b"tEXt", b"Comment\0" + bytes(2_000_000)) * 40,
        png_chunk(b"tEXt", b"transparency\0x"),
        png_chunk(b"tEXt", b"bbox\0x"),
        png_chunk(b"tEXt", b"exif\0x"),
        png_chunk(b"iTXt", b"exif\0\0\0\0\0x"),
        png_chunk(b"tRNS", b"\0\1\0\1\0\1"),
        png_chunk(b"PLTE", b""),
        png_chunk(b"acTL", struct.pack(">II", 2**31, 0)) * 2,
        png_chunk(b"eXIf", bytes(100_000)),
        png_chunk(b"gAMA", b""),
        struct.pack(">I", 2**31) + b"tEXt",
    ],
    ids=lambda chunk: chunk[4:14].decode("latin-1").encode("ascii", "replace").decode(),
)
def test_absurd_png_chunks_are_survived(chunk):
    exact_size_or_refusal(png_with(chunk))


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_exif_block_is_survived(block):
    for kind in ("JPEG", "WEBP"):
        decoded = decode_image(encode(scene(6, 9), kind, exif=b"Exif\0\0" + block), SPEC)
        assert sorted((decoded.original_height, decoded.original_width)) == [6, 9]


def test_refusals_name_what_was_expected_and_no_address_of_this_process():
    for payload in (b"hello", VALID["PNG"][:40], VALID["JPEG"][:200], VALID["GIF"][:30]):
        with pytest.raises(BadInput, match="JPEG, PNG, WebP, BMP or GIF") as caught:
            decode_image(payload, SPEC)
        assert not re.search("0x[0-9a-f]{6}", str(caught.value))


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the resident size from Linux's /proc")
def test_bad_files_leave_nothing_behind():
    rng = np.random.default_rng(0)
    odd_exif = [b"Exif\0\0II*\0\x08\0\0\0\x01\0" + rng.bytes(40) for _ in range(50)]
    payloads = [
        VALID["JPEG"][:500],
        VALID["PNG"][:-300],
        VALID["WEBP"][:-50],
        b"GIF89a" + bytes(90),
        png_of_zeros(900, 900),
    ]
    payloads += [encode(scene(9, 9), "JPEG", exif=block) for block in odd_exif]

    def send_all() -> None:
        for payload in payloads * 10:
            exact_size_or_refusal(payload)

    send_all()
    before = resident_bytes()
    for _ in range(4):
        send_all()
    assert resident_bytes() - before < 8_000_000
