"""One hand-built package for all tests of the server that only need some model."""

from __future__ import annotations

import pytest

from registry.package import ModelPackage
from tests.handmade import Handmade, build_package


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """The colour classifier, fp32, batches up to 8, inputs of 32×32."""
    return build_package(tmp_path_factory.mktemp("package") / "colours", Handmade())
