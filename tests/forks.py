"""Processes that begin together, and such that die in the middle of their work: forks of the one that tests."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable

PATIENCE_S = 120.0
DIED = 9
"""How a process ends that `die` is called in."""


def die(*_: object, **__: object) -> None:
    """At once, as by kill -9: nothing is cleaned up. In the place of whatever was to be done next."""
    os._exit(DIED)


def forked(*works: Callable[[], object]) -> list[int]:
    """A process for each piece of work, all let go at the same moment. Returns how they ended: 0 for what went well."""
    waiting, gate = os.pipe()
    children = [start(work, waiting, gate) for work in works]
    os.close(waiting)
    os.close(gate)
    return [wait_for(child) for child in children]


def start(work: Callable[[], object], waiting: int, gate: int) -> int:
    """Its number. It waits until nobody holds the gate any more."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.close(gate)
        os.read(waiting, 1)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait_for(child: int) -> int:
    """One that does not come to an end is killed, which its code tells."""
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > give_up_at:
            os.kill(child, signal.SIGKILL)
            give_up_at = float("inf")
        time.sleep(0.01)
