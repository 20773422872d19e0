"""What the demo's models are asked about: pictures or prompts, fresh ones and spoilt ones."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any, Protocol

import msgspec

from export.generative.passage import cut_documents
from registry.package import ModelPackage
from tidegate.demo_traffic import add_noise
from training.data.config import ScenesConfig
from training.data.scene_source import SceneSource
from training.data.source import open_source
from training.progress import track
from training.recipe import Recipe

MAX_TURNS = 10


class Material(Protocol):
    """One kind of request body."""

    noun: str
    suffix: str
    """Of a file that holds one."""
    tensor: str
    """The input that takes it over the Open Inference Protocol."""
    spoilt_as: str

    def draw(self, recipe: Recipe, package: ModelPackage, count: int) -> list[bytes]:
        """Bodies of requests that the model has not learnt from, as those that its reference was made of."""
        ...

    def element(self, body: bytes) -> bytes:
        """What goes into the tensor."""
        ...

    def spoil(self, body: bytes, seed: int) -> bytes: ...


class Pictures:
    """JPEGs of scenes that neither training nor the reference has seen."""

    noun, suffix, tensor, spoilt_as = "pictures", ".jpg", "encoded_image", "with noise"

    def draw(self, recipe: Recipe, package: ModelPackage, count: int) -> list[bytes]:
        assert isinstance(recipe.data, ScenesConfig)
        stream = SceneSource(recipe.data).stream("test", seed=time.time_ns() % 2**32)
        drawn = track(islice(stream, count), f"drawing pictures for {recipe.name}", count)
        return [example.payload for example in drawn]

    def element(self, body: bytes) -> bytes:
        return body

    def spoil(self, body: bytes, seed: int) -> bytes:
        return add_noise(body, seed)


class Prompts:
    """Beginnings of texts that training has not seen, in the JSON of a request: cut as those of the reference are."""

    noun, suffix, tensor, spoilt_as = "prompts", ".json", "text_input", "in capitals"

    def draw(self, recipe: Recipe, package: ModelPackage, count: int) -> list[bytes]:
        texts = [example.payload.decode() for example in open_source(recipe.data).split("test")]
        task = package.open_generative_task(next(iter(package.manifest.variants)))
        max_tokens, seed = package.manifest.lineage.recipe["export"]["passage_tokens"], time.time_ns() % 2**31
        # The same texts cut at other places, as often as it takes.
        cuts = (cut_documents(texts, task, max_tokens, seed + turn) for turn in range(MAX_TURNS))
        prompts = (passage.payload.decode() for cut in cuts for passage in cut)
        fitting = (prompt for prompt in prompts if len(task.tokenizer.encode(prompt.upper())) < task.context - 1)
        return [body_of(prompt) for prompt in islice(fitting, count)]

    def element(self, body: bytes) -> bytes:
        return prompt_of(body).encode()

    def spoil(self, body: bytes, seed: int) -> bytes:
        return body_of(prompt_of(body).upper())


def body_of(prompt: str) -> bytes:
    return msgspec.json.encode({"prompt": prompt})


def prompt_of(body: bytes) -> str:
    facts: dict[str, Any] = msgspec.json.decode(body)
    return str(facts["prompt"])
