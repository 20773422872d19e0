"""The rule files of this folder: what each holds, and its text."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.prometheus.access_alerts import access_alert_group
from deploy.prometheus.alert_rules import alert_group
from deploy.prometheus.drift_alerts import drift_alert_group
from deploy.prometheus.drift_rules import DriftWindow, drift_group
from deploy.prometheus.fault_rules import fault_group
from deploy.prometheus.rule import file_text

DRIFT_WINDOWS = (DriftWindow("1h", "1m"), DriftWindow("1d", "2m"))
"""An hour shows soon what is grave; a day shows what is slight, and suffices where few ask. What is evaluated less
often than every five minutes has gone before the next time."""
RUNBOOKS = "docs/runbooks"
WRITTEN_BY = "Written by python -m deploy.prometheus: change deploy/prometheus/*.py and run it again."


def rule_files(windows: Sequence[DriftWindow] = DRIFT_WINDOWS, runbooks: str = RUNBOOKS) -> dict[str, str]:
    """File name → text. `runbooks`: the address under which docs/runbooks/ is read."""
    comment = f"Drift of the whole fleet over {{}}.\n{WRITTEN_BY}"
    drift = {
        f"drift-{one.window}.yml": file_text(comment.format(one.window), [drift_group(one)], runbooks)
        for one in windows
    }
    groups = [fault_group(), alert_group(), drift_alert_group(), access_alert_group()]
    alerts = file_text(f"When somebody must look.\n{WRITTEN_BY}", groups, runbooks)
    return {**drift, "alerts.yml": alerts}
