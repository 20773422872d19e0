"""Manifests as `kubectl kustomize` renders them: every overlay, and the base with each component alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
OLDEST_KUBECTL = (1, 27)
"""The first with kustomize 5, which the manifests are written for."""
OVERLAYS = tuple(sorted(folder.name for folder in (KUBERNETES / "overlays").iterdir()))
COMPONENTS = tuple(sorted(folder.name for folder in (KUBERNETES / "components").iterdir()))
SETS = (*(f"overlays/{name}" for name in OVERLAYS), *(f"components/{name}" for name in COMPONENTS))

Document = dict[str, Any]


@cache
def find_kubectl() -> str:
    """Its path. Skips the test where it is missing or too old, which no package of Debian 12 can mend."""
    path = shutil.which("kubectl")
    if path is None:
        pytest.skip("kubectl is not installed; manifests are rendered by kubectl 1.27 or later")
    said = subprocess.run([path, "version", "--client", "-o", "json"], capture_output=True, text=True, check=False)
    found = re.search(r'"gitVersion":\s*"v(\d+)\.(\d+)', said.stdout)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_KUBECTL:
        pytest.skip(f"{path} is too old: manifests are rendered by kubectl 1.27 or later")
    return path


def render(folder: Path) -> list[Document]:
    """What `kubectl apply -k` would send. Fails the test with what kubectl says."""
    done = subprocess.run([find_kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if document]


def render_set(name: str, folder: Path) -> list[Document]:
    """One of SETS; `folder` is empty and takes the overlay that a component needs to stand on the base."""
    return render(KUBERNETES / name) if name.startswith("overlays/") else render_base((Path(name).name,), folder)


def render_base(components: Sequence[str], folder: Path) -> list[Document]:
    """The base with components, in this order; `folder` is empty and takes the overlay that they need."""
    base, *paths = (
        os.path.relpath(KUBERNETES / part, folder.resolve())
        for part in ("base", *(f"components/{name}" for name in components))
    )
    wanted = {"namespace": "tidegate", "resources": [base], "components": paths}
    (folder / "kustomization.yaml").write_text(json.dumps(wanted), encoding="utf-8")
    return render(folder)


def render_with(overlay: str, component: str, folder: Path) -> list[Document]:
    """A copy of an overlay that takes one more component, as somebody makes it who runs the server elsewhere."""

    def add(facts: Document) -> None:
        facts["components"].append(f"../../components/{component}")

    return render_changed(overlay, folder, add)


def render_keeping(overlay: str, kind: str, folder: Path) -> list[Document]:
    """A copy of an overlay that does not leave a kind out, as somebody makes it who has what it takes."""

    def keep(facts: Document) -> None:
        facts["patches"] = [one for one in facts["patches"] if f"kind: {kind}\n" not in one.get("patch", "")]

    return render_changed(overlay, folder, keep)


def render_changed(overlay: str, folder: Path, change: Callable[[Document], None]) -> list[Document]:
    """A copy of an overlay whose kustomization somebody has changed."""
    copied = folder / "deploy"
    shutil.copytree(KUBERNETES.parent, copied, ignore=shutil.ignore_patterns("__pycache__"))
    changed = copied / "kubernetes" / "overlays" / overlay / "kustomization.yaml"
    facts = yaml.safe_load(changed.read_text(encoding="utf-8"))
    change(facts)
    changed.write_text(json.dumps(facts), encoding="utf-8")
    return render(changed.parent)
