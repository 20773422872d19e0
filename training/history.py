"""What was measured after each epoch. It travels in the trainer's checkpoint, so a resumed run has all of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import msgspec


class EpochRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`score` is what the learner monitors on validation data; `val_loss` is missing where it would
    cost a second run. `learning_rate` is that of the head, at the end of the epoch."""

    epoch: int
    train_loss: float
    val_loss: float | None
    score: float
    learning_rate: float
    seconds: float


EpochListener = Callable[[EpochRecord], None]


class HistoryCallback(pl.Callback):  # type: ignore[misc]
    """Collects an EpochRecord for every epoch and reports each to a listener."""

    def __init__(self, on_epoch: EpochListener) -> None:
        self.records: list[EpochRecord] = []
        self._on_epoch = on_epoch
        self._started = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        figures = trainer.callback_metrics
        record = EpochRecord(
            epoch=trainer.current_epoch + 1,
            train_loss=float(figures["train_loss"]),
            val_loss=float(figures["val_loss"]) if "val_loss" in figures else None,
            score=float(figures[module.monitored]),
            learning_rate=float(trainer.optimizers[0].param_groups[-1]["lr"]),
            seconds=time.monotonic() - self._started,
        )
        self.records.append(record)
        self._on_epoch(record)

    def state_dict(self) -> dict[str, Any]:
        return {"records": [msgspec.to_builtins(record) for record in self.records]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.records = msgspec.convert(state_dict["records"], list[EpochRecord])
