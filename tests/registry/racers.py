"""Two processes that promote against each other: what only real processes prove about a lock."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]

PROGRAM = """
import json, sys
from pathlib import Path
from registry.promotion import promote
from registry.store import ModelRef, open_store
from tasks.errors import TidegateError

location, cache, who = sys.argv[1:]
store = open_store(location)
store.names()
print("ready", flush=True)
for line in sys.stdin:
    version, expected = json.loads(line)
    try:
        event = promote(
            store, ModelRef(name="colours", version=version), cache=Path(cache), who=who, expected=expected
        )
        answer = [event.version, event.id]
    except TidegateError as error:
        answer = [type(error).__name__, str(error)]
    print(json.dumps(answer), flush=True)
"""


class Racer:
    """A process that promotes when it is told to. Use it as a context."""

    def __init__(self, location: str, cache: Path, who: str) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, location, str(cache), who],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Racer:
        assert self.read_line() == "ready"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.child.kill()
        self.child.communicate()

    def go(self, version: str, expected: str) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps([version, expected]) + "\n")
        self.child.stdin.flush()

    def outcome(self) -> list[str]:
        """[version, event id] of who won, [error, message] of who did not."""
        found = json.loads(self.read_line())
        assert isinstance(found, list)
        return found

    def read_line(self) -> str:
        assert self.child.stdout is not None
        return self.child.stdout.readline().strip()
