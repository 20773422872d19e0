"""Predictions for files on this machine, without a server: decode ahead, run in batches, one answer a file."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from registry.package import ModelPackage
from serving.runtimes.runtime import Runtime
from tasks.errors import BadInput, TidegateError
from tasks.task import Array, Sample, Task
from tidegate.answers import Answer, AnswerFile, AnswerSink, AnswerStream, failure
from tidegate.input_files import InputFile, find_inputs
from training.progress import track

if TYPE_CHECKING:
    from registry.store import PackageStore, VersionInfo
    from tidegate.generative_predictor import GenerativePredictor


@dataclass(frozen=True)
class Prepared:
    """A file decoded and ready to run."""

    file: InputFile
    sample: Sample
    tensors: dict[str, Array]


@dataclass(frozen=True)
class Failed:
    """A file that can not be answered, and why."""

    file: InputFile
    error: TidegateError


class Predictor:
    """Answers files with one variant of a package."""

    def __init__(self, package: ModelPackage, version: str, task: Task, runtime: Runtime) -> None:
        self._model, self._version = package.manifest.name, version
        self._task, self._runtime = task, runtime
        self._batch_size = max(package.manifest.batch_buckets)
        self._params = task.parse_params({})

    def answer(self, files: Iterable[InputFile], sink: AnswerSink) -> Iterator[Answer]:
        """Each answer is in the sink before it is yielded. Order follows the files."""
        with ThreadPoolExecutor(thread_name_prefix="decode") as pool:
            for chunk in self._decode_ahead(pool, files):
                for answer in self._run(chunk):
                    sink.append(answer)
                    yield answer

    def _decode_ahead(self, pool: ThreadPoolExecutor, files: Iterable[InputFile]) -> Iterator[list[Prepared | Failed]]:
        """Chunks of at most a batch; while one runs the next is being decoded."""
        waiting: list[Future[Prepared | Failed]] = []
        remaining = iter(files)
        while chunk := list(itertools.islice(remaining, self._batch_size)):
            started = [pool.submit(self._prepare, file) for file in chunk]
            if waiting:
                yield [future.result() for future in waiting]
            waiting = started
        yield [future.result() for future in waiting]

    def _prepare(self, file: InputFile) -> Prepared | Failed:
        try:
            sample = self._task.sample_from_bytes(file.path.read_bytes())
            return Prepared(file, sample, self._task.preprocess(sample))
        except TidegateError as error:
            return Failed(file, error)
        except OSError as error:
            return Failed(file, BadInput(f"can not be read: {error.strerror}"))

    def _run(self, chunk: list[Prepared | Failed]) -> Iterator[Answer]:
        """One run of the graph for all that could be decoded."""
        ready = [item for item in chunk if isinstance(item, Prepared)]
        outputs: dict[str, Array] = {}
        if ready:
            names = [spec.name for spec in self._runtime.inputs]
            outputs = self._runtime.run({name: np.stack([item.tensors[name] for item in ready]) for name in names})
        row = 0
        for item in chunk:
            if isinstance(item, Failed):
                yield failure(item.file.name, self._model, self._version, item.error)
                continue
            one = {name: batch[row] for name, batch in outputs.items()}
            prediction = self._task.decode_output(one, item.sample, self._params)
            yield Answer(file=item.file.name, model=self._model, version=self._version, prediction=prediction)
            row += 1


@dataclass
class Totals:
    """What became of all files."""

    answered: int = 0
    failed: int = 0
    skipped: int = 0


def answer_files(store_uri: str | None, reference: str, source: Path, out: Path | None) -> Totals:
    """Answer every file of `source` by the model that `reference` names, to `out` or else to stdout.

    What `out` already holds is skipped, and neither the model nor an engine is opened when nothing is left.
    """
    from registry.store import ModelRef, open_store

    files = find_inputs(source)
    store = open_store(store_uri)
    found = store.resolve(ModelRef.parse(reference))
    with ExitStack() as stack:
        sink: AnswerSink = AnswerStream(sys.stdout.fileno())
        answered: frozenset[str] = frozenset()
        if out is not None:
            sink = stack.enter_context(AnswerFile(out, found.name, found.version))
            answered = sink.answered
            files = [file for file in files if not out.exists() or not file.path.samefile(out)]
        left = [file for file in files if file.name not in answered]
        totals = Totals(skipped=len(files) - len(left))
        if left:
            predictor = stack.enter_context(open_predictor(store, found))
            for answer in track(predictor.answer(left, sink), f"predicting with {found.name}", len(left)):
                totals.failed += bool(answer.error)
                totals.answered += not answer.error
    return totals


@contextmanager
def open_predictor(store: PackageStore, found: VersionInfo) -> Iterator[Predictor | GenerativePredictor]:
    """The model on this machine's engine. Raises NotReady where none of its variants can run here."""
    from serving.config_sources import load_config
    from serving.model_kinds import generates
    from serving.open_runtime import open_runtime
    from serving.runtimes.compute_threads import ComputeThreads
    from serving.variants import any_host, choose_variant, detect_host
    from serving.workers import available_cpus
    from tasks.task import open_task
    from tidegate.generative_predictor import open_generative_predictor

    config = load_config(os.environ, {})
    package = store.fetch(found, Path(config.cache_dir))
    host = any_host(package) if config.engine == "triton" else detect_host()
    variant = choose_variant(package, config.variant, host)
    threads = ComputeThreads(available_cpus())
    if generates(package):
        with open_generative_predictor(package, found.version, variant, threads, config.engine_choice) as predictor:
            yield predictor
        return
    runtime = open_runtime(package, variant, threads, engine=config.engine_choice)
    try:
        yield Predictor(package, found.version, open_task(package.task_spec_of(variant)), runtime)
    finally:
        runtime.close()
