"""When the drift of a fleet is worth somebody's time: chance does not explain it, and it is far enough to matter."""

from __future__ import annotations

from deploy.prometheus.rule import Alert, Group

NOTICEABLE, STRONG = 0.1, 0.3
"""Jensen–Shannon distances. In a large fleet chance explains no difference, and not every one matters."""


def drift_alert_group(hold: str = "10m", interval: str = "1m") -> Group:
    """Of every window: `signal_surprise` decides whether, `signal_distance` how grave. `hold`: for how long before it
    is said."""
    drifted = "and tidegate:signal_surprise > 1"
    where = "Signal {{ $labels.signal }} of model {{ $labels.model }} version {{ $labels.version }}"
    text = (
        "Jensen–Shannon distance to the reference over {{ $labels.window }} and the whole fleet. At these numbers of "
        "pictures chance does not go so far."
    )
    return Group(
        "tidegate-drift-alerts",
        interval,
        (
            Alert(
                name="TidegateStrongDrift",
                expression=f"tidegate:signal_distance >= {STRONG:g} {drifted}",
                hold=hold,
                severity="critical",
                runbook="drift",
                summary=f'{where} is far from what it was trained on: {{{{ $value | printf "%.2f" }}}}',
                description=text,
            ),
            Alert(
                name="TidegateDrift",
                expression=f"tidegate:signal_distance >= {NOTICEABLE:g} < {STRONG:g} {drifted}",
                hold=hold,
                severity="warning",
                runbook="drift",
                summary=f'{where} has moved away from what it was trained on: {{{{ $value | printf "%.2f" }}}}',
                description=text,
            ),
        ),
    )
