"""What tests of several packages share: system programs that may be missing, and no clock in property tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest
from hypothesis import settings

import serving.runtimes  # noqa: F401  Before any test imports onnxruntime, which is told there to keep to itself.

# How long an example takes says more about the machine than about the code.
settings.register_profile("tidegate", deadline=None)
settings.load_profile("tidegate")


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str], str]:
    """`require_tool("curl")` → its path. Where it is missing the test is skipped, or fails (CI)."""
    return find_tool


def find_tool(name: str) -> str:
    path = shutil.which(name)
    if path:
        return path
    if os.environ.get("REQUIRE_TOOLS"):
        pytest.fail(f"{name} is not installed, and REQUIRE_TOOLS forbids to skip this test", pytrace=False)
    pytest.skip(f"{name} is not installed")
