"""What the training loop needs of data: a dataset that hands out whole batches of tensors."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor
from torch.utils.data import Dataset

Batch = tuple[Tensor, ...]
"""The tensors of several examples, each with the examples as its first axis; what they are depends on the kind."""


class BatchDataset(Dataset[Batch]):
    """Examples that are handed out by the batch."""

    num_workers = 0
    """Processes that should prepare batches; none where they are ready anyway."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitems__(self, indices: list[int]) -> Batch:
        """A whole batch at once."""

    def begin_epoch(self, epoch: int) -> None:
        """Called before every epoch of learning, also where a training goes on: what a dataset hands out may depend on
        the epoch's number, on nothing else."""

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])


class Datasets(NamedTuple):
    """What a network learns from, and what it is judged by after every epoch."""

    train: BatchDataset
    validation: BatchDataset
