"""Every set of manifests, rendered once and handed out as copies."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

import pytest

from tests.deploy.rendering import Document, render_set

Rendered = Callable[[str], list[Document]]


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """`rendered("overlays/prod")` → its documents, to be changed at will."""

    @cache
    def once(name: str) -> list[Document]:
        return render_set(name, tmp_path_factory.mktemp("overlay"))

    return lambda name: copy.deepcopy(once(name))
