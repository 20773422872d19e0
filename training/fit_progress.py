"""The progress bar of a fit: one for all epochs, with the best figure to judge it by, on standard error."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class FitProgress(pl.Callback):  # type: ignore[misc]
    """Batches of all epochs as one bar; `monitored` is shown as each epoch leaves it."""

    def __init__(self, monitored: str) -> None:
        self._monitored = monitored
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figure]}"),
        )
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        batches = trainer.num_training_batches
        self._bar = self._progress.add_task(
            "training", total=batches * trainer.max_epochs, completed=batches * trainer.current_epoch, figure=""
        )
        self._progress.start()

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:
        if trainer.is_global_zero:
            self._progress.advance(self._bar)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        value = trainer.callback_metrics.get(self._monitored)
        if trainer.is_global_zero and value is not None:
            self._progress.update(
                self._bar,
                description=f"training, epoch {trainer.current_epoch + 1} of {trainer.max_epochs}",
                figure=f"{self._monitored} {float(value):.3f}",
            )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._progress.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._progress.stop()
