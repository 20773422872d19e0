import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Literal

import psutil
import pytest

from benchmarks.peers.contender import Contender
from benchmarks.peers.process_tree import ProcessTree
from benchmarks.peers.roster import PEERS
from benchmarks.peers.running import Running

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-S", "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def family() -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A process and the child that it started."""
    command = [sys.executable, "-S", "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        yield parent, psutil.Process(int(parent.stdout.readline()))
        parent.kill()


def wait_until(holds: Callable[[], bool]) -> None:
    """Signals take effect when the kernel gets round to it."""
    expires_at = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < expires_at
        time.sleep(0.01)


def has_ended(process: psutil.Process) -> bool:
    """Whether or not anybody took notice yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_children_count_pause_and_end_with_who_started_them(
    family: tuple[subprocess.Popen[str], psutil.Process],
) -> None:
    parent, child = family
    tree = ProcessTree(parent.pid)
    assert tree.memory_mib() > ProcessTree(child.pid).memory_mib() > 0
    assert tree.cpu_seconds() >= ProcessTree(child.pid).cpu_seconds()
    tree.pause()
    wait_until(lambda: child.status() == psutil.STATUS_STOPPED)
    tree.resume()
    wait_until(lambda: child.status() != psutil.STATUS_STOPPED)
    tree.pause()
    tree.stop()
    assert parent.wait(timeout=10) != 0
    wait_until(lambda: has_ended(child))


def test_who_is_orphaned_by_a_crash_is_ended_all_the_same(
    family: tuple[subprocess.Popen[str], psutil.Process],
) -> None:
    parent, child = family
    tree = ProcessTree(parent.pid)
    tree.pause()
    parent.kill()
    parent.wait()
    tree.stop()
    wait_until(lambda: has_ended(child))


@pytest.mark.parametrize(("between_turns", "rests"), [("paused", True), ("idle", False)])
def test_between_turns_a_server_is_paused_unless_it_would_not_survive_that(
    family: tuple[subprocess.Popen[str], psutil.Process], between_turns: Literal["paused", "idle"], rests: bool
) -> None:
    parent, child = family
    contender = Contender("any", "any", "", lambda _: [], PEERS["ray"].call, between_turns=between_turns)
    up = Running(contender, ProcessTree(parent.pid), {}, 1.0, 1.0)
    up.rest()
    wait_until(lambda: (child.status() == psutil.STATUS_STOPPED) == rests)
    with up.awake():
        wait_until(lambda: child.status() != psutil.STATUS_STOPPED)
    wait_until(lambda: (child.status() == psutil.STATUS_STOPPED) == rests)
    up.tree.resume()
