"""A server with everything that it started: some peers are four processes, and Ray Serve is nine."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import psutil

T = TypeVar("T")
QUIET_SHARE = 0.3
"""Of a core: whoever spends less has no request in hand. Ray Serve spends a tenth with nothing to do."""
QUIET_WINDOW_S = 0.2
MAX_QUIET_WAIT_S = 10.0
LEAVE_S = 10.0
LOOK_EVERY_S = 0.05
MIB = 2**20


class ProcessTree:
    """`pid`: the process that was started. Who has left meanwhile counts for nothing; who was orphaned by a crash after
    it was seen once still belongs to it."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._seen = {self._root}

    def _members(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            self._seen.update(self._root.children(recursive=True))
        self._seen = {member for member in self._seen if member.is_running()}
        return list(self._seen)

    def cpu_seconds(self) -> float:
        """User and system time of all so far."""
        times = present(self._members(), lambda member: member.cpu_times())
        return float(sum(spent.user + spent.system for spent in times))

    def memory_mib(self) -> float:
        """Resident memory of all; a page that several share is counted once."""
        return sum(present(self._members(), lambda member: float(member.memory_full_info().pss))) / MIB

    def pause(self) -> None:
        """Nobody's turn: not a cycle is taken from whoever has it."""
        present(self._members(), lambda member: member.suspend())

    def resume(self) -> None:
        present(self._members(), lambda member: member.resume())

    def wait_until_quiet(self) -> None:
        """Until what was left behind is worked off: load generators leave in the middle of their last requests."""
        expires_at = time.monotonic() + MAX_QUIET_WAIT_S
        while time.monotonic() < expires_at:
            before = self.cpu_seconds()
            time.sleep(QUIET_WINDOW_S)
            if self.cpu_seconds() - before < QUIET_SHARE * QUIET_WINDOW_S:
                return

    def stop(self) -> None:
        """Asks the one that was started to leave, then kills whoever is left."""
        self.resume()
        present([self._root], lambda member: member.terminate())
        expires_at = time.monotonic() + LEAVE_S
        while self._alive() and time.monotonic() < expires_at:
            time.sleep(LOOK_EVERY_S)
        present(self._alive(), lambda member: member.kill())

    def _alive(self) -> list[psutil.Process]:
        """Those that have not ended; who started them may still have to take notice."""
        return [member for member in self._members() if present([member], is_alive) == [True]]


def is_alive(member: psutil.Process) -> bool:
    return bool(member.status() != psutil.STATUS_ZOMBIE)


def present(members: list[psutil.Process], ask: Callable[[psutil.Process], T]) -> list[T]:
    """The answers of those that are still there."""
    answers = []
    for member in members:
        with suppress(psutil.NoSuchProcess):
            answers.append(ask(member))
    return answers
