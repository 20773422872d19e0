"""Writes what was sampled into files, one open batch for each model, and keeps the folder within its bounds."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from time import monotonic

from monitoring.captured import Batch
from serving.capture.folder_budget import FolderBudget
from serving.capture.item import CapturedAnswer, CapturedLabel
from serving.capture.open_batch import OpenBatch
from serving.capture.settings import CaptureSettings
from serving.capture.statistics import CaptureStatistics

BATCH_SECONDS, BATCH_ITEMS = 30.0, 500
SURVEY_SECONDS = 60.0
SURVEY_PAUSE = 50
"""A look that takes long, on a slow disk or at very many files, takes a fiftieth of the time all the same."""
log = logging.getLogger(__name__)


class OverBudget(OSError):
    """There is no room for it in the folder's budget."""


class CaptureWriter:
    """All of it is called on capture's thread. Whatever goes wrong is counted, and told once until it goes well."""

    def __init__(self, settings: CaptureSettings, statistics: CaptureStatistics) -> None:
        self._root, self._statistics = settings.root, statistics
        self._budget = FolderBudget(settings.root, settings.budget_bytes, settings.retention, statistics)
        self._word, self._num_batches = os.urandom(4).hex(), 0
        self._open: dict[str, OpenBatch] = {}
        self._next_survey = 0.0
        self._is_failing = False

    def write(self, item: CapturedAnswer | CapturedLabel) -> None:
        """Into the open batch of its model, which is finished if it is full."""
        gathering = self._batch_of(item.model)
        try:
            self._make_room(item.num_bytes)
            written = gathering.add(item) if isinstance(item, CapturedAnswer) else gathering.add_label(item)
            self._budget.wrote(gathering.batch, written)
        except Exception as error:
            self._fail(item.model, 1, error)
        if gathering.num_items >= BATCH_ITEMS:
            self._finish(item.model)

    def tend(self) -> None:
        """To be called every now and then: finish batches that are old enough, look at the folder."""
        now = monotonic()
        for model in [model for model, one in self._open.items() if now - one.opened_at >= BATCH_SECONDS]:
            self._finish(model)
        if now >= self._next_survey:
            began = monotonic()
            try:
                self._budget.survey(datetime.now(UTC), self._open_batches())
            except FileNotFoundError:
                pass  # another server removed a folder that was being looked at; the next look will do
            except OSError as error:
                self._fail_once(error)
            self._next_survey = now + max(SURVEY_SECONDS, SURVEY_PAUSE * (monotonic() - began))

    def close(self) -> None:
        """Finish all batches."""
        for model in list(self._open):
            self._finish(model)

    def _batch_of(self, model: str) -> OpenBatch:
        if model not in self._open:
            self._num_batches += 1
            batch = Batch.opened(model, datetime.now(UTC), self._word, self._num_batches)
            self._open[model] = OpenBatch(self._root, batch)
        return self._open[model]

    def _open_batches(self) -> set[Batch]:
        return {one.batch for one in self._open.values()}

    def _make_room(self, num_bytes: int) -> None:
        """For a file, and for the rows of all batches that are being gathered."""
        rows = sum(one.max_bytes_of_rows for one in self._open.values())
        if not self._budget.make_room(num_bytes + rows, datetime.now(UTC), self._open_batches()):
            raise OverBudget(f"capture_budget_bytes has no room for {num_bytes} bytes more; give it more")

    def _finish(self, model: str) -> None:
        done = self._open[model]
        try:
            self._make_room(0)
            self._budget.wrote(done.batch, done.finish())
        except Exception as error:
            self._fail(model, done.num_items, error)
            self._discard(done.batch)
        else:
            if done.num_items:
                self._statistics.count(model, "kept", done.num_items)
                self._is_failing = False
        del self._open[model]

    def _discard(self, batch: Batch) -> None:
        """Pictures without rows are of no use."""
        try:
            self._budget.discard(batch, datetime.now(UTC))
        except OSError as error:
            self._fail_once(error)

    def _fail(self, model: str, num_items: int, error: Exception) -> None:
        self._statistics.count(model, "failed", num_items)
        self._fail_once(error)

    def _fail_once(self, error: Exception) -> None:
        if not self._is_failing:
            told = error if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            log.error("nothing can be captured in %s: %s; answers go on without", self._root, told)
        self._is_failing = True
