"""One trained model, exported once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from export.recipe import ExportRecipe, load_export_recipe
from export.subject import Data, Subject
from export.torch_subject import TorchGraph
from registry.manifest import Lineage
from tasks.classification import Classification
from tests.export_subjects import SPEC, TinyNet, colour, fit_head


@pytest.fixture(scope="session")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A trained model whose float32 graph was exported once; `write_graph` hands out copies."""
    torch.manual_seed(0)
    net, training = TinyNet().eval(), [colour(seed) for seed in range(400)]
    fit_head(net, training)
    graph = TorchGraph(net, Classification(SPEC), ("logits", "embedding"))
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    graph.write(path, 20)

    def write_graph(target: Path, opset: int) -> None:
        target.write_bytes(path.read_bytes())

    return Subject(
        name="colours",
        task_spec=SPEC,
        reference=graph.run,
        write_graph=write_graph,
        data=Data(training, [colour(seed) for seed in range(1000, 1300)], [colour(s) for s in range(2000, 2100)]),
        lineage=Lineage(created_at="2026-01-01T00:00:00Z", source="test"),
    )


@pytest.fixture(scope="session")
def recipe() -> ExportRecipe:
    """The quick recipe on very little data."""
    return load_export_recipe(
        "quick",
        ["num_calibration=64", "num_verify=200", "num_profile=350", "num_golden=12", "latency_seconds=0.01"],
    )
