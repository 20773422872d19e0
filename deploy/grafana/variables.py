"""What is chosen at the top of a dashboard: the data source, the fleet, replicas, models and versions."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import (
    DatasourceVariable,
    QueryVariable,
    TextBoxVariable,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.selection import FLEET, MODEL, REPLICA, series

Variable = Builder[VariableModel]
PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")


def datasource() -> Variable:
    """The Prometheus that scrapes the servers; Grafana's first one by itself."""
    return DatasourceVariable("datasource").label("Data source").type("prometheus")


def fleet() -> list[Variable]:
    """Namespace and job: what rules add up. Outside of Kubernetes there is no namespace."""
    known = "tidegate_registry_up"
    return [
        several("namespace", "Namespace", known, "namespace"),
        several("job", "Job", f'{known}{{namespace=~"$namespace"}}', "job"),
    ]


def replica() -> Variable:
    return several("instance", "Replica", series("registry_up", FLEET), "instance")


def model() -> Variable:
    return several("model", "Model", series("model_ready", REPLICA), "model")


def generating_model() -> Variable:
    """Models that answer token by token."""
    return several("model", "Model", series("slots", REPLICA), "model")


def version() -> Variable:
    return several("version", "Version", series("model_info", MODEL), "version")


def several(name: str, label: str, metric: str, source: str) -> Variable:
    """Any number of the values that label `source` of a metric has; all of them at first, and none too."""
    return (
        chosen(name, label, metric, source)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def chosen(name: str, label: str, metric: str, source: str) -> QueryVariable:
    """One of the values that label `source` of a metric has."""
    return (
        QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query(f"label_values({metric}, {source})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.NATURAL_ASC)
    )


def address(name: str, label: str, default: str) -> Variable:
    """Where something is that Prometheus does not know of; whoever looks may correct it."""
    return (
        TextBoxVariable(name).label(label).default_value(default).current(VariableOption(text=default, value=default))
    )
