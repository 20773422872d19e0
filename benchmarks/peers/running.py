"""A contender's server, up and answering, and paused whenever it is not its turn."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.contenders import SETTLE_S, Turn
from benchmarks.machine import SERVER_CORE, pinned
from benchmarks.peers.call import Call, NotAnswered
from benchmarks.peers.contender import OURS, Contender
from benchmarks.peers.process_tree import ProcessTree
from benchmarks.peers.stand import ENVIRONMENTS, ROOT, Stand, is_built
from benchmarks.peers.workload import Kind

START_TIMEOUT_S = 180.0
ASK_EVERY_S = 0.05
WARM_UP_S = 3.0
"""Load that is not counted: some choose how long a batch may gather by what they saw, and some have to find out that
they were paused."""
MAX_LOG_BYTES = 2**20


class PeerFailed(Exception):
    """A contender that is not there, does not start, does not answer or answers wrongly; the message is the reason."""


@dataclass(frozen=True)
class Running:
    """`first_answer_s`: from the start of the process to its first answer; `memory_mib`: of all its processes, after
    that answer; `calls`: what it is asked, for each kind of request."""

    contender: Contender
    tree: ProcessTree
    calls: dict[Kind, Call]
    first_answer_s: float
    memory_mib: float

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Its turn: paused again when it is over."""
        self.tree.resume()
        try:
            yield
        finally:
            self.rest()

    def rest(self) -> None:
        if self.contender.between_turns == "paused":
            self.tree.pause()


@contextmanager
def running(contender: Contender, stand: Stand, payloads: dict[Kind, bytes]) -> Iterator[Running]:
    """From the start to the first answer by itself, then paused. Raises PeerFailed."""
    if contender.name != OURS and not is_built(contender.name):
        raise PeerFailed(f"not installed: make peers-env, or scripts/peers-env.sh .venv-peers {contender.name}")
    calls = {kind: contender.call(stand, kind, payload) for kind, payload in payloads.items()}
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        # Some start further programs of their environment by name.
        "PATH": f"{ENVIRONMENTS / contender.name / 'bin'}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "TIDEGATE_CACHE_DIR": str(stand.folder / "cache"),
        **stand.settings.variables(),
        **contender.variables,
    }
    with tempfile.TemporaryFile() as log:
        try:
            contender.prepare(stand)
        except (OSError, subprocess.CalledProcessError) as error:
            raise PeerFailed(f"it could not be prepared: {error} {getattr(error, 'stderr', b'')[-500:]!r}") from error
        started_at = time.monotonic()
        # A session of its own, so that Ctrl-C is ours to handle.
        child = subprocess.Popen(
            pinned(SERVER_CORE, contender.command(stand)),
            env=variables,
            cwd=stand.folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        tree = ProcessTree(child.pid)
        try:
            wait_for_answer(child, calls["tensor"], log.fileno())
            first_answer_s = time.monotonic() - started_at
            tree.wait_until_quiet()
            up = Running(contender, tree, calls, first_answer_s, tree.memory_mib())
            up.rest()
            yield up
        finally:
            tree.stop()
            child.wait()


def wait_for_answer(child: subprocess.Popen[bytes], call: Call, log: int) -> None:
    """Raises PeerFailed with the end of what the process wrote."""
    expires_at = time.monotonic() + START_TIMEOUT_S
    reason = "nothing"
    while time.monotonic() < expires_at and child.poll() is None:
        try:
            call.ask()
            return
        except NotAnswered as error:
            reason = str(error)
            time.sleep(ASK_EVERY_S)
    ended = f"ended with {child.returncode}" if child.poll() is not None else f"no answer in {START_TIMEOUT_S:.0f} s"
    lines = os.pread(log, MAX_LOG_BYTES, 0).decode(errors="replace").split("\n")
    written = " / ".join(line.strip()[:300] for line in lines if line.strip(" ^~"))[-600:]
    raise PeerFailed(f"{ended}; asked last it said {reason!r}; the end of what it wrote: {written!r}")


def answer_of(up: Running, kind: Kind) -> int:
    """The class that it names. Raises PeerFailed."""
    with up.awake():
        try:
            return up.calls[kind].ask()
        except NotAnswered as error:
            raise PeerFailed(f"asked with a {kind} it said {error}") from error


def take_turn(up: Running, kind: Kind, connections: int, seconds: float) -> Turn:
    """One turn under load, the only one awake. Raises PeerFailed: a fast error is no answer."""
    call = up.calls[kind]
    with up.awake():
        try:
            time.sleep(SETTLE_S)
            call.ask()
            call.generate(call.request, connections, WARM_UP_S)
            up.tree.wait_until_quiet()
            before = up.tree.cpu_seconds()
            result = call.generate(call.request, connections, seconds)
            spent = up.tree.cpu_seconds() - before
            up.tree.wait_until_quiet()
        except (NotAnswered, RuntimeError, subprocess.CalledProcessError) as error:
            raise PeerFailed(f"under load: {error}") from error
    if result.num_errors or not result.num_requests:
        raise PeerFailed(f"{result.num_errors} errors in {result.num_requests} requests, {connections} connections")
    return Turn(result.requests_per_s, result.p50_ms, result.p99_ms, spent / result.num_requests * 1e6)
