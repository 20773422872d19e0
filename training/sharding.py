"""Training with every weight, gradient and optimiser state held by one of the processes only (FSDP, second version).

Zhao et al., "PyTorch FSDP" (2023); Rajbhandari et al., "ZeRO" (2020). A layer's weights are put together just before
it is computed and given up again after it. What is saved is whole, in the same file as any other training's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FullyShardedDataParallel, OptimStateKeyType, fully_shard

from tasks.errors import InvalidRecipe
from training.networks.network import Trainable


class ShardedStrategy(ModelParallelStrategy):  # type: ignore[misc]
    """Lightning's strategy for networks in shards, which knows our checkpoints and cuts the network by itself."""

    def __init__(self, num_processes: int) -> None:
        super().__init__(data_parallel_size=num_processes, tensor_parallel_size=1, save_distributed_checkpoint=False)

    def setup(self, trainer: pl.Trainer) -> None:
        self.accelerator.setup(trainer)
        shard_network(self.lightning_module.network, self.device_mesh["data_parallel"])
        self.model = self.precision_plugin.convert_module(self.lightning_module)
        self.model_to_device()
        self.barrier()
        if trainer.state.fn == TrainerFn.FITTING:
            self.setup_optimizers(trainer)
        self.setup_precision_plugin()

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Every process reads the whole file and keeps its part."""
        checkpoint: dict[str, Any] = self.checkpoint_io.load_checkpoint(checkpoint_path, weights_only=weights_only)
        options = StateDictOptions(full_state_dict=True)
        set_model_state_dict(self.model, checkpoint["state_dict"], options=options)
        for optimiser, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            named = FullyShardedDataParallel.rekey_optim_state_dict(state, OptimStateKeyType.PARAM_NAME, self.model)
            set_optimizer_state_dict(self.model, optimiser, named, options=options)
        return checkpoint


def shard_network(network: Trainable, mesh: DeviceMesh) -> None:
    """Cuts a network in place: each of its blocks is a unit, and so is what is left."""
    for block in network.blocks_to_shard():
        fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)


def check_shardable(network: Trainable) -> None:
    """Raises InvalidRecipe for a network that is one block."""
    if not network.blocks_to_shard():
        raise InvalidRecipe(
            f"distribution: {type(network).__name__} cannot be cut into blocks of which one is needed at a time; leave "
            "it out, and every process holds all weights"
        )
