"""A tiny language model, for the tests of every way of this protocol to let one generate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry.package import ModelPackage
from tests.serving.protocol_server import ProtocolServer, protocol_server
from tests.tiny_language import build_language_package


@pytest.fixture(scope="session")
def language(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """The model `tiny` of text: random weights, two slots, a context of 64."""
    return build_language_package(tmp_path_factory.mktemp("language") / "tiny", num_golden=1, slots=(2,))


@pytest.fixture
async def texts(language: ModelPackage, tmp_path: Path) -> AsyncIterator[ProtocolServer]:
    """The applications over that model."""
    async with protocol_server(language.folder, tmp_path) as made:
        yield made
