"""The error tree of the whole project.

    TidegateError
    ├── BadInput                the caller sent something that cannot be right
    │   └── TooLarge            … because it is over a configured limit
    ├── Unauthenticated         no key, or an unknown one
    ├── Forbidden               a known caller, but not on this port or not this call
    ├── NotFound                no such model, version, file or route
    ├── Conflict                somebody else changed what this call relied on
    ├── Overloaded              a bounded queue is full; try again after `retry_after_s`
    ├── Unsupported             understood, and not offered here
    ├── NotReady                loading, draining, or failed to load
    ├── DeadlineExceeded        the caller's time was up before the answer was there
    ├── InvalidPackage          a model package that does not prove what it claims
    ├── InvalidRecipe           a recipe or configuration file with a wrong field
    └── GateFailed              a version that did not earn its promotion or export

Each class carries a `kind`; `serving/status.py` maps a kind to its HTTP and gRPC status, the command line to an exit
code. Third-party exceptions are translated into these where the library is called.
"""

from enum import StrEnum


class ErrorKind(StrEnum):
    """What went wrong, in the words that status codes and exit codes are chosen by."""

    BAD_INPUT = "bad_input"
    TOO_LARGE = "too_large"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    OVERLOADED = "overloaded"
    UNSUPPORTED = "unsupported"
    NOT_READY = "not_ready"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    INVALID_PACKAGE = "invalid_package"
    INVALID_RECIPE = "invalid_recipe"
    GATE_FAILED = "gate_failed"


class TidegateError(Exception):
    """Base of everything this project raises on purpose. The message is meant to be shown to the caller."""

    kind: ErrorKind


class BadInput(TidegateError):
    kind = ErrorKind.BAD_INPUT


class TooLarge(BadInput):
    kind = ErrorKind.TOO_LARGE


class Unauthenticated(TidegateError):
    kind = ErrorKind.UNAUTHENTICATED


class Forbidden(TidegateError):
    kind = ErrorKind.FORBIDDEN


class NotFound(TidegateError):
    kind = ErrorKind.NOT_FOUND


class Conflict(TidegateError):
    kind = ErrorKind.CONFLICT


class Overloaded(TidegateError):
    """A bounded queue is full."""

    kind = ErrorKind.OVERLOADED

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unsupported(TidegateError):
    kind = ErrorKind.UNSUPPORTED


class NotReady(TidegateError):
    kind = ErrorKind.NOT_READY


class DeadlineExceeded(TidegateError):
    kind = ErrorKind.DEADLINE_EXCEEDED


class InvalidPackage(TidegateError):
    kind = ErrorKind.INVALID_PACKAGE


class InvalidRecipe(TidegateError):
    kind = ErrorKind.INVALID_RECIPE


class GateFailed(TidegateError):
    kind = ErrorKind.GATE_FAILED
