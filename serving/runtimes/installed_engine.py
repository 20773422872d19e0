"""Which build of ONNX Runtime is installed: there are two, and one environment has room for one."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

from tasks.errors import NotReady


def check_one_engine() -> None:
    """Exactly one of onnxruntime and onnxruntime-gpu may be installed: they overwrite each other's files.

    Raises NotReady saying what to install or remove.
    """
    installed = [name for name in ("onnxruntime", "onnxruntime-gpu") if is_installed(name)]
    if not installed:
        raise NotReady("no inference engine is installed: run pip install 'tidegate[cpu]' or 'tidegate[gpu]'")
    if len(installed) == 2:
        raise NotReady(
            "both onnxruntime and onnxruntime-gpu are installed and overwrite each other: run pip uninstall -y "
            "onnxruntime onnxruntime-gpu, then pip install 'tidegate[cpu]' or 'tidegate[gpu]'"
        )


def is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
