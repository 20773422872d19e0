"""Requests that fail through the server's own fault: their share, and when it spends the error budget too fast."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.prometheus.rule import Alert, Group, Recording
from serving.metrics import CODES

BY_MODEL = "(namespace, job, model)"
FAULTS = "|".join(code for codes in CODES.values() for code in codes if code not in ("200", "OK"))
"""Codes that are the server's fault. What was asked wrongly is not, nor what is refused under load: that has an alert
of its own."""
FAULT_BUDGET = 0.001
"""The share of requests that may fail: an objective of 99.9 % over thirty days."""
MIN_FAULTS = 10
"""Fewer in the long window wake nobody: one in fifty requests of a quiet night is no outage."""


@dataclass(frozen=True)
class Burn:
    """The budget is spent `factor` times as fast as it lasts thirty days, over the long window, and still is."""

    long: str
    short: str
    factor: float
    hold: str
    severity: str


BURNS = (
    Burn("1h", "5m", 14.4, "2m", "critical"),
    Burn("6h", "30m", 6.0, "15m", "critical"),
    Burn("3d", "6h", 1.0, "1h", "warning"),
)
"""2 % of the budget in an hour, 5 % in six, 10 % in three days (Beyer et al., The Site Reliability Workbook, 2018)."""


def fault_group() -> Group:
    """Shares of faults over every window that an alert looks at, and the alerts."""
    windows = sorted({window for burn in BURNS for window in (burn.long, burn.short)}, key=seconds_of)
    rules = [
        Recording(
            "tidegate:fault_ratio",
            f"""
            sum by {BY_MODEL} (rate(tidegate_requests_total{{code=~"{FAULTS}"}}[{window}]))
              / sum by {BY_MODEL} (rate(tidegate_requests_total[{window}]))
            """,
            {"window": window},
        )
        for window in windows
    ]
    return Group("tidegate-faults", "30s", (*rules, *fault_alerts()))


def seconds_of(window: str) -> int:
    """ "6h" → 21,600."""
    return int(window[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[window[-1]]


def fault_alerts() -> list[Alert]:
    """One name, three speeds."""
    return [
        Alert(
            name="TidegateFaults",
            expression=f"""
            tidegate:fault_ratio{{window="{burn.long}"}} > {burn.factor * FAULT_BUDGET:g}
              and ignoring (window) tidegate:fault_ratio{{window="{burn.short}"}} > {burn.factor * FAULT_BUDGET:g}
              and ignoring (window)
                sum by {BY_MODEL} (increase(tidegate_requests_total{{code=~"{FAULTS}"}}[{burn.long}])) >= {MIN_FAULTS}
            """,
            hold=burn.hold,
            severity=burn.severity,
            runbook="faults",
            summary="{{ $value | humanizePercentage }} of the requests {{ if $labels.model }}to model "
            "{{ $labels.model }}{{ else }}that reach no model{{ end }} fail",
            description=f"Over {burn.long} and still over {burn.short}, faults of the server and not of its callers "
            f"spend the error budget of {FAULT_BUDGET:.1%} more than {burn.factor:g} times as fast as it lasts thirty "
            "days. An empty model stands for requests that reached none.",
            labels={"window": burn.long},
        )
        for burn in BURNS
    ]
