"""One hand-built package for all tests of the server that only need some model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry.package import ModelPackage
from tests.handmade import Handmade, build_package
from tests.handmade_detection import build_detector
from tests.handmade_segmentation import build_segmenter
from tests.serving.protocol_server import ProtocolServer, protocol_server


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """The colour classifier, fp32, batches up to 8, inputs of 32×32."""
    return build_package(tmp_path_factory.mktemp("package") / "colours", Handmade())


@pytest.fixture(scope="session")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """The model `patches`: a segmenter by brightness, inputs of 32×32."""
    return build_segmenter(tmp_path_factory.mktemp("package") / "patches")


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """The model `cells`: a detector by brightness, inputs of 32×32."""
    return build_detector(tmp_path_factory.mktemp("package") / "cells")


@pytest.fixture
async def protocol(package: ModelPackage, tmp_path: Path) -> AsyncIterator[ProtocolServer]:
    """The HTTP applications over that package, without a network between. Bodies up to 200 kB."""
    async with protocol_server(package.folder, tmp_path, max_body_bytes=200_000) as made:
        yield made
