"""Answers for files by a model that generates: a prompt or a picture in each file, as many at once as it has slots."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from registry.package import ModelPackage
from serving.engine_choice import EngineChoice
from serving.generative_loader import open_generative
from serving.offline_generator import OfflineGenerator
from serving.runtimes.compute_threads import ComputeThreads
from tasks.errors import BadInput, TidegateError
from tasks.generation_params import GenerationParams
from tidegate.answers import Answer, AnswerSink, failure
from tidegate.input_files import InputFile

SEED = 0
"""The same files get the same answers again, also from a model that samples."""
FILES_PER_SLOT = 4
"""How many are read and worked on together: enough that few slots are idle at the end, few enough to show progress."""


class GenerativePredictor:
    """Answers files with one variant of a package."""

    def __init__(self, package: ModelPackage, version: str, generator: OfflineGenerator) -> None:
        self._model, self._version, self._generator = package.manifest.name, version, generator
        self._params = repeatable(generator.task.parse_params({}))

    def answer(self, files: Iterable[InputFile], sink: AnswerSink) -> Iterator[Answer]:
        """Each answer is in the sink before it is yielded. Order follows the files."""
        remaining = iter(files)
        while chunk := list(itertools.islice(remaining, FILES_PER_SLOT * self._generator.num_slots)):
            for answer in self._run(chunk):
                sink.append(answer)
                yield answer

    def _run(self, chunk: Sequence[InputFile]) -> Iterator[Answer]:
        contents = [read(file) for file in chunk]
        payloads = [content for content in contents if isinstance(content, bytes)]
        predictions = iter(self._generator.predict(payloads, self._params))
        for file, content in zip(chunk, contents, strict=True):
            outcome = next(predictions) if isinstance(content, bytes) else content
            if isinstance(outcome, TidegateError):
                yield failure(file.name, self._model, self._version, outcome)
            else:
                yield Answer(file=file.name, model=self._model, version=self._version, prediction=outcome)


def read(file: InputFile) -> bytes | BadInput:
    try:
        return file.path.read_bytes()
    except OSError as error:
        return BadInput(f"can not be read: {error.strerror}")


def repeatable(params: GenerationParams) -> GenerationParams:
    """With a seed, where something is drawn at all."""
    if params.num_beams > 1 or params.seed is not None:
        return params
    return msgspec.structs.replace(params, seed=SEED)


@contextmanager
def open_generative_predictor(
    package: ModelPackage, version: str, variant: str, threads: ComputeThreads, engine: EngineChoice
) -> Iterator[GenerativePredictor]:
    """The variant with all the slots that it was exported for. Raises NotReady or InvalidPackage."""
    graphs = open_generative(package, variant, package.manifest.batch_buckets[-1], threads, engine)
    generator = OfflineGenerator(graphs)
    try:
        yield GenerativePredictor(package, version, generator)
    finally:
        generator.close()
