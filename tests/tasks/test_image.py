"""What the decoder makes of good pictures: the right size, the right way up, the right colours, whatever the file."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.image import ImageArray, ImageSpec, decode_image, place_image, resize_image
from tests.pictures import FORMATS, encode, exif, png_chunk, png_with, scene

SPEC = ImageSpec(height=32, width=48)
fits = st.sampled_from(["stretch", "letterbox", "crop"])
# Which turn a camera has to store for a picture that is upright after its orientation is applied.
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def model_input(payload: bytes, spec: ImageSpec) -> ImageArray:
    decoded = decode_image(payload, spec)
    return resize_image(decoded.pixels, place_image(decoded.original_height, decoded.original_width, spec), spec)


def mean_difference(a: object, b: object) -> float:
    return float(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).mean())


def pixel(payload: bytes) -> list[int]:
    """The colour of the middle of a picture, at its own size."""
    width, height = Image.open(io.BytesIO(payload)).size
    return decode_image(payload, ImageSpec(height=height, width=width)).pixels[height // 2, width // 2].tolist()


def full_size(side: int) -> ImageSpec:
    return ImageSpec(height=side, width=side)


@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    target=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    fit=fits,
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
    kind=st.sampled_from(FORMATS),
    orientation=st.integers(1, 8),
)
def test_any_size_in_exact_size_out(size, target, fit, interpolation, kind, orientation):
    spec = ImageSpec(height=target[0], width=target[1], fit=fit, interpolation=interpolation)
    options = {"exif": exif(orientation)} if kind in ("JPEG", "PNG", "WEBP") else {}
    decoded = decode_image(encode(scene(*size), kind, **options), spec)
    height, width = size[::-1] if options and orientation >= 5 else size
    placement = place_image(decoded.original_height, decoded.original_width, spec)

    assert (decoded.original_height, decoded.original_width) == (height, width)
    assert decoded.pixels.shape[0] >= min(height, placement.placed_height - 1e-3)
    assert decoded.pixels.shape[1] >= min(width, placement.placed_width - 1e-3)
    resized = resize_image(decoded.pixels, placement, spec)
    assert resized.shape == (*target, 3)
    assert resized.dtype == np.uint8


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (1, 65_500), (3, 9_000)])
@pytest.mark.parametrize("fit", ["stretch", "letterbox", "crop"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_extreme_aspect_ratios_still_fill_the_input(size, fit, kind):
    picture = Image.new("RGB", size[::-1], (200, 30, 60))
    spec = ImageSpec(height=32, width=48, fit=fit, pad_value=0)
    result = model_input(encode(picture, kind), spec)
    assert result.shape == (32, 48, 3)
    assert np.abs(result.astype(int) - (200, 30, 60)).max(axis=-1).min() < 8


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(256, 700),
    width=st.integers(256, 700),
    fit=fits,
    kind=st.sampled_from(["JPEG", "PNG"]),
    orientation=st.integers(1, 8),
)
def test_decoding_at_reduced_scale_looks_like_decoding_in_full(height, width, fit, kind, orientation):
    payload = encode(scene(height, width), kind, exif=exif(orientation))
    spec = ImageSpec(height=40, width=56, fit=fit)
    reduced = decode_image(payload, spec)
    full = decode_image(payload, full_size(max(height, width)))
    placement = place_image(reduced.original_height, reduced.original_width, spec)

    assert reduced.pixels.size < full.pixels.size
    a, b = (resize_image(decoded.pixels, placement, spec) for decoded in (reduced, full))
    assert mean_difference(a, b) < 1.5


@pytest.mark.parametrize("width", [1280, 1281, 1283, 1287])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_reduced_scale_shifts_nothing_even_where_the_size_is_not_a_multiple(width, kind):
    ramp = np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8)[:, None], (640, width, 3))
    row = model_input(encode(Image.fromarray(np.ascontiguousarray(ramp)), kind), ImageSpec(height=64, width=128))[32]
    expected = (np.arange(128) + 0.5) / 128 * 255
    # One pixel of the input is two grey levels wide.
    assert np.abs(row[4:-4, 0] - expected[4:-4]).max() < 1.5


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("order", "field"), [("<", 3), (">", 3), (">", 4)])
def test_every_exif_orientation_comes_out_upright(orientation, kind, order, field):
    upright = scene(400, 300)
    turn = STORED_AS[orientation]
    payload = encode(
        upright.transpose(turn) if turn is not None else upright, kind, exif=exif(orientation, order, field)
    )
    decoded = decode_image(payload, SPEC)
    assert (decoded.original_height, decoded.original_width) == (400, 300)
    assert mean_difference(model_input(payload, SPEC), model_input(encode(upright), SPEC)) < 2


def test_exif_behind_the_pixels_of_a_png_counts_too():
    payload = png_with(png_chunk(b"eXIf", exif(6)[6:]), after_pixels=True)
    plain = model_input(encode(scene(8, 8)), ImageSpec(height=8, width=8))
    turned = model_input(payload, ImageSpec(height=8, width=8))
    np.testing.assert_array_equal(turned, np.rot90(plain, -1))


@pytest.mark.parametrize("order", ["<", ">"])
@given(block=st.binary(max_size=60), count=st.integers(0, 65_535))
def test_a_damaged_exif_block_is_ignored(order, block, count):
    magic = b"II*\0" if order == "<" else b"MM\0*"
    head = b"Exif\0\0" + magic + (8).to_bytes(4, "little" if order == "<" else "big")
    payload = encode(scene(6, 9), "PNG", exif=head + count.to_bytes(2, "little") + block)
    decoded = decode_image(payload, full_size(9))
    assert sorted((decoded.original_height, decoded.original_width)) == [6, 9]


@pytest.mark.parametrize("orientation", [0, 9, 255, 65_535])
def test_an_orientation_that_does_not_exist_means_upright(orientation):
    decoded = decode_image(encode(scene(6, 9), "JPEG", exif=exif(orientation)), full_size(9))
    assert (decoded.original_height, decoded.original_width) == (6, 9)


def test_grey_palette_and_one_bit_pictures_keep_their_colours():
    assert pixel(encode(Image.new("L", (9, 9), 77))) == [77, 77, 77]
    assert pixel(encode(Image.new("1", (9, 9), 1))) == [255, 255, 255]
    assert pixel(encode(Image.new("RGB", (9, 9), (10, 200, 30)).quantize(4))) == [10, 200, 30]
    assert pixel(encode(Image.new("RGB", (9, 9), (10, 200, 30)).quantize(4), "BMP")) == [10, 200, 30]


@pytest.mark.parametrize("value", [0, 255, 256, 4_000, 32_768, 65_535])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(value):
    payload = encode(Image.fromarray(np.full((9, 9), value, np.uint16)))
    assert pixel(payload) == [value >> 8] * 3


def test_transparency_shows_white_paper():
    half = Image.new("RGBA", (9, 9), (200, 0, 100, 128))
    for kind in ("PNG", "WEBP"):
        assert np.abs(np.array(pixel(encode(half, kind))) - (227, 127, 177)).max() <= 1
    assert pixel(encode(Image.new("LA", (9, 9), (0, 0)))) == [255, 255, 255]
    assert pixel(encode(Image.new("RGBA", (9, 9), (1, 2, 3, 0)))) == [255, 255, 255]


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_the_transparent_entry_of_a_palette_shows_white_paper(kind):
    picture = Image.new("RGB", (9, 9), (10, 200, 30)).quantize(4)
    assert pixel(encode(picture, kind, transparency=picture.getpixel((4, 4)))) == [255, 255, 255]


def test_a_palette_with_an_alpha_for_each_entry_is_composited():
    picture = Image.new("RGB", (9, 9), (0, 0, 0)).quantize(4)
    assert np.abs(np.array(pixel(encode(picture, transparency=bytes([51] * 4)))) - 204).max() <= 1


@pytest.mark.parametrize(("mode", "colour"), [("L", 7), ("RGB", (7, 8, 9)), ("1", 0), ("I;16", 7_000)])
def test_a_transparent_colour_shows_white_paper(mode, colour):
    picture = Image.fromarray(np.full((9, 9), colour, np.uint16)) if mode == "I;16" else Image.new(mode, (9, 9), colour)
    assert pixel(encode(picture, transparency=colour)) == [255, 255, 255]


def test_shrinking_does_not_bleed_the_hidden_colour_of_transparent_pixels():
    picture = Image.new("RGBA", (400, 400), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (0, 0, 202, 400))
    row = model_input(encode(picture), ImageSpec(height=20, width=20))[10].astype(int)
    assert (row[:, 1] >= row[:, 0] - 1).all()


def test_cmyk_reads_as_pillow_and_adobe_mean_it():
    picture = Image.new("CMYK", (32, 32), (255, 0, 255, 0))
    red, green, blue = pixel(encode(picture, "JPEG"))
    assert green > 240
    assert max(red, blue) < 15


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (9, 9), colour) for colour in [(255, 0, 0), (0, 255, 0), (0, 0, 255)]]
    for kind in ("GIF", "WEBP", "PNG"):
        payload = encode(frames[0], kind, save_all=True, append_images=frames[1:])
        assert pixel(payload) == [255, 0, 0]


def test_letterbox_pads_with_its_value_and_crop_cuts_the_centre():
    wide = Image.new("RGB", (90, 30), (0, 0, 0))
    wide.paste((250, 250, 250), (30, 0, 60, 30))
    boxed = model_input(encode(wide), ImageSpec(height=30, width=30, fit="letterbox", pad_value=99))
    assert (boxed[:10] == 99).all()
    assert (boxed[20:] == 99).all()
    assert (boxed[10:20] != 99).all()
    cut = model_input(encode(wide), ImageSpec(height=30, width=30, fit="crop"))
    assert cut[:, 1:-1].min() > 240


def test_a_picture_of_the_models_own_size_passes_untouched():
    picture = scene(32, 48)
    for fit in ("stretch", "letterbox", "crop"):
        result = model_input(encode(picture), ImageSpec(height=32, width=48, fit=fit))
        np.testing.assert_array_equal(result, np.asarray(picture))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_large_picture_is_not_kept_at_its_full_size(kind):
    decoded = decode_image(encode(scene(1200, 1600), kind), SPEC)
    assert decoded.pixels.shape[0] <= 4 * SPEC.height
    assert decoded.pixels.shape[1] <= 4 * SPEC.width


@pytest.mark.parametrize("kind", FORMATS)
def test_threads_agree_with_each_other(kind):
    payload = encode(scene(300, 401), kind)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: model_input(payload, SPEC).tobytes(), range(16)))
    assert set(results) == {model_input(payload, SPEC).tobytes()}
