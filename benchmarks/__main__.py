"""`make bench`: every speed bar, then the drift bars, one after the other so that none disturbs another.

Each is a program of its own with options of its own: python -m benchmarks.serving --help.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.peers.stand import ENVIRONMENTS

BENCHMARKS = (
    ("decode",),
    ("nms",),
    ("serving",),
    ("features",),
    ("generation",),
    ("generation_http",),
    ("swap",),
    ("drift",),
    ("compression",),
    ("compression", "--bars"),
)
"""Program, then its options."""
PEERS = (("peers",),)
"""Needs environments that `make peers-env` makes: left out where there are none."""


def main() -> int:
    """Runs all, whatever becomes of one. The exit status counts those that broke."""
    num_broken = 0
    for name, *options in BENCHMARKS + (PEERS if ENVIRONMENTS.exists() else ()):
        print(f"\n═══ {' '.join((name, *options))} ═══", flush=True)
        num_broken += subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options]).returncode != 0
    return num_broken


if __name__ == "__main__":
    sys.exit(main())
