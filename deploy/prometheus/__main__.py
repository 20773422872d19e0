"""Write the rule files.

python -m deploy.prometheus [--folder FOLDER] [--runbooks ADDRESS] [--window WINDOW:INTERVAL …]
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from deploy.prometheus.drift_rules import DriftWindow
from deploy.prometheus.rule_files import DRIFT_WINDOWS, RUNBOOKS, rule_files

RULES = Path(__file__).parent / "rules"
DURATION = r"\d+(?:s|m|h|d)"


def drift_window(text: str) -> DriftWindow:
    """ "6h:1m" → six hours, judged every minute."""
    match = re.fullmatch(f"({DURATION}):({DURATION})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no WINDOW:INTERVAL such as 1h:1m")
    return DriftWindow(match[1], match[2])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.prometheus", description="Write Prometheus' rule files.")
    parser.add_argument("--folder", type=Path, default=RULES, help="where to (default: the files of the repository)")
    parser.add_argument("--runbooks", default=RUNBOOKS, help="the address under which docs/runbooks/ is read")
    parser.add_argument(
        "--window",
        type=drift_window,
        action="append",
        help="how long drift is looked at, and how often, such as 6h:1m; again for more",
    )
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name, text in rule_files(given.window or DRIFT_WINDOWS, given.runbooks.rstrip("/")).items():
        (given.folder / name).write_text(text, encoding="utf-8")
        print(given.folder / name)


if __name__ == "__main__":
    main()
