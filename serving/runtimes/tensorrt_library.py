"""TensorRT's library: found, given a logger of ours, and asked so that every refusal becomes an error."""

from __future__ import annotations

import functools
import logging
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import Any

from tasks.errors import NotReady

MAX_KEPT = 8
"""Of TensorRT's last complaints: its functions return nothing but "no", and the reason goes to the logger."""
log = logging.getLogger(__name__)


@functools.cache
def tensorrt() -> ModuleType:
    """The module, of release 10 or 11. Raises NotReady where there is none, or where it does not load."""
    try:
        import tensorrt as module
    except (ImportError, OSError) as error:
        raise NotReady(f"TensorRT can not be loaded ({error}): run pip install 'tidegate[tensorrt]'") from error
    found: ModuleType = module
    return found


class Complaints:
    """What TensorRT said last. `logger` is handed to whatever is created, and must outlive it."""

    def __init__(self) -> None:
        self._last: deque[str] = deque(maxlen=MAX_KEPT)
        self.logger = make_logger(self._last)

    def require(self, answer: Any, what: str) -> Any:
        """The answer of a call that says None, False or a negative number where it failed. Raises NotReady."""
        failed = answer is None or answer is False or (isinstance(answer, int) and answer < 0)
        if failed:
            raise NotReady(f"TensorRT failed to {what}: {self.text()}")
        return answer

    def create(self, factory: Callable[..., Any], *arguments: Any) -> Any:
        """What a constructor of TensorRT makes. Raises NotReady, where that raises whatever it likes."""
        try:
            return factory(*arguments)
        except (TypeError, RuntimeError) as error:
            raise NotReady(f"TensorRT failed to make a {factory.__name__}: {self.text()} ({error})") from error

    def text(self) -> str:
        """The complaints since the last time somebody asked."""
        said = "; ".join(self._last) or "it does not say why"
        self._last.clear()
        return said


def make_logger(complaints: deque[str]) -> Any:
    """Errors are kept for messages; everything goes to our log, where an operator looks."""
    module = tensorrt()
    levels = {
        module.ILogger.INTERNAL_ERROR: logging.ERROR,
        module.ILogger.ERROR: logging.ERROR,
        module.ILogger.WARNING: logging.WARNING,
        module.ILogger.INFO: logging.DEBUG,
        module.ILogger.VERBOSE: logging.NOTSET,
    }

    class Logger(module.ILogger):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            module.ILogger.__init__(self)  # pybind11 asks for it by name

        def log(self, severity: Any, message: str) -> None:
            level = levels[severity]
            if level >= logging.ERROR:
                complaints.append(message)
            if level > logging.NOTSET:
                log.log(level, "TensorRT: %s", message)

    return Logger()
