"""Write the dashboards.

python -m deploy.grafana [--folder FOLDER] [--runbooks ADDRESS]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from deploy.grafana.dashboard_files import dashboard_files
from deploy.prometheus.rule_files import RUNBOOKS

DASHBOARDS = Path(__file__).parent / "dashboards"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.grafana", description="Write Grafana's dashboards.")
    parser.add_argument(
        "--folder", type=Path, default=DASHBOARDS, help="where to (default: the files of the repository)"
    )
    parser.add_argument("--runbooks", default=RUNBOOKS, help="the address under which docs/runbooks/ is read")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name, text in dashboard_files(given.runbooks.rstrip("/")).items():
        (given.folder / name).write_text(text, encoding="utf-8")
        print(given.folder / name)


if __name__ == "__main__":
    main()
