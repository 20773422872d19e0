"""Training a captioner in two processes: its backbone frozen at first, its decoder's activations computed again."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

import pytest

from tests.e2e.test_language_training import SCRIPT, TORCHRUN, finish, results, start, weights

pytestmark = pytest.mark.e2e

RECIPE = """
name = "tiny-captioning"
task = "captioning"
[data]
source = "scenes"
max_digits = 2
train_size = 48
validation_size = 13
test_size = 12
[image]
height = 32
width = 32
[text]
context = 64
tokenizer = {vocabulary = 300}
[model]
architecture = "prefix_captioner"
[model.options]
strides = [4, 8]
channels = 8
depth = 1
decoder = {width = 32, depth = 2, heads = 2, kv_heads = 1, checkpoint_gradients = true}
[model.backbone]
architecture = "resnet"
options = {depths = [1, 1, 1], widths = [8, 8, 16], stem = "halve"}
[schedule]
epochs = 2
batch_size = 8
frozen_epochs = 1
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    # Pictures are drawn by workers, each of which imports the script again.
    guarded = 'if __name__ == "__main__":' + indent(SCRIPT, "    ")
    (tmp_path / "train.py").write_text(guarded)
    return tmp_path


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_two_processes_train_one_captioner(work: Path, precision: str) -> None:
    first, second = results(finish(start(work, *TORCHRUN, f"precision={precision}")))
    assert first == second
    assert first.version == 1
    assert 0 < first.metrics["val_token_accuracy"] <= 1
    assert 0 <= first.metrics["test_exact_match"] <= 1
    assert all(weight.isfinite().all() for weight in weights(first.folder).values())
