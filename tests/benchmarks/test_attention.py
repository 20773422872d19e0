"""The two decoders that are timed beside each other must be the same model."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import attention
from training.models.llama import Options


def test_both_ways_to_keep_a_cache_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "MODEL", Options(width=64, depth=2, heads=4, kv_heads=2, tie_embeddings=False))
    decoders = attention.open_decoders(tmp_path, num_threads=1)
    assert attention.check_alike(decoders) < 1e-5
