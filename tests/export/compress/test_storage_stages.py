"""Sizes at each stage of Deep Compression, against the arithmetic of the paper."""

from __future__ import annotations

import numpy as np
import pytest

from export.compress.storage_stages import StorageStages, add_stages, measure_stages


def stages(numbers: np.ndarray) -> StorageStages:
    return measure_stages(numbers.view(f"<u{numbers.itemsize}"), 1)


def test_every_eighth_of_few_values() -> None:
    weights = np.zeros(8000, np.float32)
    weights[7::8] = np.tile(np.arange(1, 17), 63)[:1000]
    # All gaps are 7, which four bits tell; three bits can count to six before they must go on.
    assert stages(weights) == StorageStages(32_000, 1000 * (4 + 32) // 8, 16 * 4 + 1000 * (4 + 4) // 8, 1)


def test_few_values_without_zeros() -> None:
    weights = np.tile(np.arange(1, 33, dtype=np.float32), 100)
    assert stages(weights) == StorageStages(12_800, 12_800, 32 * 4 + 3200 * 5 // 8, 1)


def test_no_stage_makes_weights_larger_that_have_neither() -> None:
    weights = np.random.default_rng(0).standard_normal(70_000).astype(np.float16)
    assert stages(weights) == StorageStages(140_000, 140_000, 140_000, 1)


@pytest.mark.parametrize("numbers", [np.zeros(0, np.float32), np.zeros(5000, np.float32), np.ones(1, np.int8)])
def test_nothing_at_all_and_nothing_but_zeros(numbers: np.ndarray) -> None:
    measured = stages(numbers)
    assert measured.clustered <= measured.pruned <= measured.dense == numbers.nbytes


def test_sums_and_ratios() -> None:
    whole = add_stages([StorageStages(100, 50, 20, 10), StorageStages(300, 50, 20, 10)])
    assert whole == StorageStages(400, 100, 40, 20)
    assert whole.ratios == (4, 10, 20)
