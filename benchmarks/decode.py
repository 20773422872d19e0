"""Which library should decode pictures: JPEG 1280×960 → RGB 224×224, the whole way from bytes to array.

    python -m benchmarks.decode [--rounds 40]

Every contender decodes, converts to RGB and resizes; one thread, CPU milliseconds, interleaved rounds. The difference
is the mean over all pixels from a full decode resized by Pillow's antialiased bilinear filter, in grey levels of 255.
A second table shows our own decoder on the other formats.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Callable, Mapping
from functools import partial

import cv2
import numpy as np
import simplejpeg
import skimage.data
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images

from benchmarks.machine import describe_machine
from benchmarks.rounds import Rounds, interleave
from tasks.image import ImageSpec, decode_image, place_image, resize_image

WIDTH, HEIGHT, SIDE = 1280, 960, 224
SPEC = ImageSpec(height=SIDE, width=SIDE)
BILINEAR = Image.Resampling.BILINEAR
DECODES_PER_TURN = 5
OURS = "tasks.image"
Decoder = Callable[[bytes], NDArray[np.uint8]]


def photograph() -> Image.Image:
    """Four real photographs side by side at about their own resolution, so that there is real detail to decode."""
    sources = [*load_sample_images().images, skimage.data.coffee(), skimage.data.astronaut()]
    size = (WIDTH // 2, HEIGHT // 2)
    mosaic = Image.new("RGB", (WIDTH, HEIGHT))
    for index, source in enumerate(sources):
        tile = Image.fromarray(source).resize(size, Image.Resampling.BICUBIC)
        mosaic.paste(tile, (index % 2 * size[0], index // 2 * size[1]))
    return mosaic


def encoded(picture: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, quality=90)
    return stream.getvalue()


def with_ours(payload: bytes) -> NDArray[np.uint8]:
    decoded = decode_image(payload, SPEC)
    return resize_image(decoded.pixels, place_image(decoded.original_height, decoded.original_width, SPEC), SPEC)


def with_pillow(payload: bytes) -> NDArray[np.uint8]:
    picture = Image.open(io.BytesIO(payload)).convert("RGB")
    return np.asarray(picture.resize((SIDE, SIDE), BILINEAR))


def with_pillow_draft(payload: bytes) -> NDArray[np.uint8]:
    picture = Image.open(io.BytesIO(payload))
    picture.draft("RGB", (SIDE, SIDE))
    return np.asarray(picture.convert("RGB").resize((SIDE, SIDE), BILINEAR))


def with_opencv(flag: int, payload: bytes) -> NDArray[np.uint8]:
    pixels = cv2.imdecode(np.frombuffer(payload, np.uint8), flag)
    resized = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB))


def with_simplejpeg(least_side: int, payload: bytes) -> NDArray[np.uint8]:
    pixels = simplejpeg.decode_jpeg(payload, "RGB", min_height=least_side, min_width=least_side)
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), BILINEAR))


def with_simplejpeg_and_opencv(payload: bytes) -> NDArray[np.uint8]:
    pixels = simplejpeg.decode_jpeg(payload, "RGB", True, True, SIDE, SIDE)
    return np.asarray(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA))


JPEG_DECODERS: Mapping[str, Decoder] = {
    OURS: with_ours,
    "Pillow, full": with_pillow,
    "Pillow, draft": with_pillow_draft,
    "OpenCV, full": partial(with_opencv, cv2.IMREAD_COLOR),
    "OpenCV, REDUCED_2": partial(with_opencv, cv2.IMREAD_REDUCED_COLOR_2),
    "OpenCV, REDUCED_4": partial(with_opencv, cv2.IMREAD_REDUCED_COLOR_4),
    "simplejpeg, full": partial(with_simplejpeg, HEIGHT),
    "simplejpeg, scaled": partial(with_simplejpeg, SIDE),
    "simplejpeg, scaled and fast + OpenCV resize": with_simplejpeg_and_opencv,
}


def cpu_ms(decode: Decoder, payload: bytes) -> float:
    """CPU milliseconds of one decode, over a few; one more goes ahead, because the contender before left the caches and
    the allocator in its own state."""
    decode(payload)
    start = time.process_time()
    for _ in range(DECODES_PER_TURN):
        decode(payload)
    return (time.process_time() - start) * 1000 / DECODES_PER_TURN


def mean_difference(decode: Decoder, payload: bytes) -> float:
    return float(np.abs(decode(payload).astype(np.int16) - with_pillow(payload)).mean())


def measure(turns: Mapping[str, tuple[Decoder, bytes]], num_rounds: int) -> Rounds[float]:
    for decode, payload in turns.values():
        decode(payload)
    return interleave({name: partial(cpu_ms, *turn) for name, turn in turns.items()}, num_rounds, lambda line: None)


def print_table(turns: Mapping[str, tuple[Decoder, bytes]], rounds: Rounds[float], reference: str) -> None:
    print(f"\n| {'':45} | ms    | of {reference:11} [95 %]  | difference |\n| :-- | --: | --: | --: |")
    for name, (decode, payload) in turns.items():
        ratio = rounds.ratio(name, reference, lambda ms: ms)
        milliseconds = rounds.median(name, lambda ms: ms)
        print(f"| {name:45} | {milliseconds:5.2f} | {ratio!s:23} | {mean_difference(decode, payload):10.2f} |")
    print(f"\n{len(rounds.kept)} rounds, {rounds.num_disturbed} disturbed by the host", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    picture = photograph()
    jpeg = encoded(picture, "JPEG")
    print(f"{describe_machine()}\nJPEG {WIDTH}×{HEIGHT}, quality 90, {len(jpeg):,} bytes → {SIDE}×{SIDE}")
    by_library = {name: (decode, jpeg) for name, decode in JPEG_DECODERS.items()}
    print_table(by_library, measure(by_library, arguments.rounds), OURS)
    by_format = {kind: (with_ours, encoded(picture, kind)) for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF")}
    print_table(by_format, measure(by_format, max(5, arguments.rounds // 4)), "JPEG")


if __name__ == "__main__":
    main()
