"""What a panel says to whoever was woken: which alerts look at the same numbers, and the pages that say what to do."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar

from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import DashboardLink as Link

from deploy.prometheus.access_alerts import access_alert_group
from deploy.prometheus.alert_rules import alert_group
from deploy.prometheus.drift_alerts import drift_alert_group
from deploy.prometheus.fault_rules import fault_group
from deploy.prometheus.rule import Alert

GROUPS = (fault_group(), alert_group(), drift_alert_group(), access_alert_group())
RUNBOOK_OF = {rule.name: rule.runbook for group in GROUPS for rule in group.rules if isinstance(rule, Alert)}
"""Alert → its page, by its name in docs/runbooks/ and without ".md"."""


class Explained(Protocol):
    """As far as panels of every kind are alike."""

    def description(self, description: str) -> Self: ...

    def links(self, links: list[Builder[Link]]) -> Self: ...


Panel = TypeVar("Panel", bound=Explained)


def explained(panel: Panel, says: str, *alerts: str) -> Panel:
    """`says`: what is to be seen, which the panel shows beside its title. `alerts`: by name; each has a page, and the
    panel links to it."""
    pages = list(dict.fromkeys(RUNBOOK_OF[alert] for alert in alerts))
    told = [says] if says else []
    for page in pages:
        names = ", ".join(alert for alert in alerts if RUNBOOK_OF[alert] == page)
        told.append(f"{names}: what to do stands in docs/runbooks/{page}.md.")
    links: list[Builder[Link]] = [
        DashboardLink(f"Runbook: {page}").url(f"${{runbooks:raw}}/{page}.md").target_blank(True) for page in pages
    ]
    return panel.description("\n\n".join(told)).links(links)
