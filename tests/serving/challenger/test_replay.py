"""Every kind of model asked by one version's copies of what another has answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.challenger.copies import Copy
from serving.challenger.replay import Incomparable, LocalModel, Replay, Replayed
from serving.deadline import Deadline
from serving.generative_model import GenerativeModel
from serving.prompted import prompt_picture, prompt_text
from serving.served_model import ServedModel
from tasks.detection import DetectionSpec
from tasks.errors import BadInput
from tasks.image import ImageSpec
from tests import tiny_language
from tests.handmade import Handmade, package_around
from tests.handmade_detection import DETECTOR, LABELS, build_detector, cell_graph
from tests.handmade_segmentation import build_segmenter, encoded_patches
from tests.serving.host_server import host_server, until
from tests.serving.remote_store import RemoteStore
from tests.tiny_captioner import build_captioner_package
from tests.tiny_language import build_language_package

SOON = Deadline()
GREEDY: dict[str, object] = {"temperature": 0, "max_tokens": 8, "ignore_end": True}
Ask = Callable[[Any], Awaitable[object]]


@asynccontextmanager
async def both(folder: Path, champion: Path, challenger: Path) -> AsyncIterator[Callable[[Ask], Awaitable[Replayed]]]:
    """`await again(ask)`: what becomes of the copy of what `ask(champion)` was answered."""
    store = RemoteStore(folder / "store")
    names = [store.publish(package).name for package in (champion, challenger)]
    async with host_server(store, models=tuple(f"{names[0]}/{number}" for number in (1, 2))) as server:
        one, other = (server.host.get(names[0], version) for version in "12")
        assert isinstance(one, LocalModel)
        assert isinstance(other, LocalModel)
        replay = Replay(one, other, server.pool)

        async def again(ask: Ask) -> Replayed:
            copies: list[Copy] = []
            one.tap = copies.append
            await ask(one)
            await until(lambda: copies)
            return await replay.ask(copies[0], SOON)

        yield again


def picture(payload: bytes, **params: Any) -> Ask:
    """One encoded picture, answered as the endpoints do."""

    async def ask(model: ServedModel) -> object:
        parsed = model.task.parse_params(params)
        return await (model.draw if parsed.wants_picture else model.predict)(payload, parsed, SOON)

    return ask


def text(prompt: str, **params: object) -> Ask:
    async def ask(model: GenerativeModel) -> object:
        return await (await prompt_text(model, prompt, GREEDY | params, SOON)).predict()

    return ask


async def test_classes(versions: Path, tmp_path: Path) -> None:
    async with both(tmp_path, versions / "colours-0", versions / "colours-2") as again:
        dark, light = (np.full((1, 32, 32, 3), value, np.uint8) for value in (10, 250))

        async def tensors(model: ServedModel) -> object:
            return await model.infer({"image": np.concatenate([dark, light])}, SOON, ["embedding"])

        replayed = await again(tensors)
        assert replayed.agreements == [0.0, 1.0]
        assert replayed.seconds is not None
    async with both(tmp_path / "same", versions / "colours-0", versions / "colours-1") as again:
        assert (await again(picture(encoded_patches(1), top_k=1))).agreements == [1.0]


async def test_boxes(tmp_path: Path) -> None:
    packages = [build_detector(tmp_path / f"{size}", Handmade(name="cells", size=size)).folder for size in (32, 64)]
    async with both(tmp_path, *packages) as again:
        replayed = await again(picture(encoded_patches(3), score_threshold=0.3))
        assert 0.5 < replayed.agreements[0] <= 1
        drawn = await again(picture(encoded_patches(3), overlay=True))
        assert drawn.agreements == (await again(picture(encoded_patches(3)))).agreements
        assert drawn.seconds is None  # nobody draws for the challenger

        async def tensors(model: ServedModel) -> object:
            return await model.infer({"image": np.zeros((1, 32, 32, 3), np.uint8)}, SOON)

        with pytest.raises(Incomparable, match="shape"):
            await again(tensors)


async def test_what_one_version_allows_and_the_other_does_not_is_a_failure(tmp_path: Path) -> None:
    champion = build_detector(tmp_path / "champion").folder
    spec = DetectionSpec(labels=LABELS, image=ImageSpec(height=32, width=32), min_score_threshold=0.2)
    challenger = package_around(tmp_path / "challenger", spec, cell_graph(32), DETECTOR, encoded_patches).folder
    async with both(tmp_path, champion, challenger) as again:
        with pytest.raises(BadInput, match="score_threshold"):
            await again(picture(encoded_patches(3), score_threshold=0.1))


async def test_masks_of_any_form_are_compared_in_the_original_picture(tmp_path: Path) -> None:
    packages = [build_segmenter(tmp_path / f"{size}", Handmade(name="patches", size=size)).folder for size in (32, 20)]
    async with both(tmp_path, *packages) as again:
        share = (await again(picture(encoded_patches(3)))).agreements
        assert 0.7 < share[0] < 1
        for form in ({"format": "png"}, {"format": "polygons"}, {"overlay": True}):
            assert (await again(picture(encoded_patches(3), **form))).agreements == share


@pytest.fixture(scope="module")
def languages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders tiny-0 and tiny-1, which continue differently, and tiny-2, which is cut into other tokens."""
    root = tmp_path_factory.mktemp("languages")
    quick = {"num_golden": 1, "num_profile": 4}
    for seed in range(2):
        build_language_package(root / f"tiny-{seed}", seed=seed, **quick)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tiny_language, "CORPUS", tiny_language.CORPUS[::2])
        build_language_package(root / "tiny-2", seed=0, **quick)
    return root


async def test_text(languages: Path, tmp_path: Path) -> None:
    async with both(tmp_path / "same", languages / "tiny-0", languages / "tiny-0") as again:
        assert (await again(text("Return the number"))).agreements == [1.0]
        assert (await again(text("Return the number", num_beams=2, temperature=1.0))).agreements == [1.0]
        with pytest.raises(Incomparable, match="sampled"):
            await again(text("Return the number", temperature=1.0))
    async with both(tmp_path / "other", languages / "tiny-0", languages / "tiny-1") as again:
        assert (await again(text("Return the number"))).agreements[0] < 1


async def test_text_is_spelled_anew_for_other_tokens_and_chats_are_not(languages: Path, tmp_path: Path) -> None:
    async with both(tmp_path, languages / "tiny-0", languages / "tiny-2") as again:
        assert 0 <= (await again(text("Return the number"))).agreements[0] <= 1

        async def special(model: GenerativeModel) -> object:
            prompt = model.task.prompt_from_tokens([0, 0, 50])  # type: ignore[attr-defined]
            return await (await model.start(prompt, model.task.parse_params(GREEDY), SOON)).wait()

        with pytest.raises(Incomparable, match="no text"):
            await again(special)


async def test_captions(tmp_path: Path) -> None:
    packages = [
        build_captioner_package(tmp_path / f"{seed}", seed=seed, num_golden=1, num_profile=4).folder for seed in (0, 1)
    ]

    async def caption(model: GenerativeModel) -> object:
        return await (await prompt_picture(model, encoded_patches(3), GREEDY, SOON)).predict()

    async with both(tmp_path / "same", packages[0], packages[0]) as again:
        replayed = await again(caption)
        assert replayed.agreements == [1.0]
        assert replayed.seconds is not None
    async with both(tmp_path / "other", *packages) as again:
        assert (await again(caption)).agreements[0] < 1
