from __future__ import annotations

from training.data.config import DigitsConfig
from training.data.leakage import find_leakage
from training.data.source import SPLITS, open_source


def test_all_scans_are_there_once() -> None:
    source = open_source(DigitsConfig())
    assert sum(len(source.split(name)) for name in SPLITS) == 1797
    assert source.labels == tuple("0123456789")
    assert find_leakage(source) == []


def test_the_digest_names_the_split() -> None:
    assert open_source(DigitsConfig()).digest == open_source(DigitsConfig()).digest
    assert open_source(DigitsConfig()).digest != open_source(DigitsConfig(seed=1)).digest
