from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from serving.runtimes import installed_engine
from serving.runtimes.installed_engine import check_one_engine
from tasks.errors import NotReady


def install(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """As if these builds were there, and no other."""

    def distribution(name: str) -> None:
        if name not in names:
            raise PackageNotFoundError(name)

    monkeypatch.setattr(installed_engine, "distribution", distribution)


@pytest.mark.parametrize("name", ["onnxruntime", "onnxruntime-gpu"])
def test_either_build_will_do(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    install(monkeypatch, name)
    check_one_engine()


def test_without_one_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    with pytest.raises(NotReady, match=r"pip install 'tidegate\[cpu\]'"):
        check_one_engine()


def test_two_that_overwrite_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "onnxruntime", "onnxruntime-gpu")
    with pytest.raises(NotReady, match=r"pip uninstall -y onnxruntime onnxruntime-gpu"):
        check_one_engine()
