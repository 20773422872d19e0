"""When somebody must look. Every alert has a page in docs/runbooks/ for whoever is woken by it.

`critical` is worth waking somebody: callers are without answers, or get wrong ones. `warning` waits for the morning.
"""

from __future__ import annotations

from dataclasses import dataclass

from deploy.prometheus.rule import Alert, Group, Recording
from serving.config import ServerConfig
from serving.metrics import CODES

BY_MODEL = "(namespace, job, model)"
FAULTS = "|".join(code for codes in CODES.values() for code in codes if code not in ("200", "OK"))
"""Codes that are the server's fault. What was asked wrongly is not, nor what is refused under load: that has an alert
of its own."""
FAULT_BUDGET = 0.001
"""The share of requests that may fail: an objective of 99.9 % over thirty days."""
MIN_FAULTS = 10
"""Fewer in the long window wake nobody: one in fifty requests of a quiet night is no outage."""
P99_LIMIT_S = 1.0
FIRST_TOKEN_LIMIT_S = 5.0
REFUSED_SHARE = 0.01
WAITING_LIMIT = ServerConfig().max_waiting // 2
"""Per replica. Twice as many fill the queue of a model that generates, and somebody is refused."""
NOTICEABLE, STRONG = 0.1, 0.3
"""Jensen–Shannon distances. In a large fleet chance explains no difference, and not every one matters."""


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
    """Shares of faults over every window that an alert looks at."""
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
    return Group("tidegate-faults", "30s", rules)


def seconds_of(window: str) -> int:
    """ "6h" → 21,600."""
    return int(window[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[window[-1]]


def alert_group() -> Group:
    """Every alert but those of drift."""
    return Group("tidegate-alerts", "30s", (*fault_alerts(), *load_alerts(), *state_alerts()))


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
            summary="{{ $value | humanizePercentage }} of the requests to model {{ $labels.model }} fail",
            description=f"Over {burn.long} and still over {burn.short}, faults of the server and not of its callers "
            f"spend the error budget of {FAULT_BUDGET:.1%} more than {burn.factor:g} times as fast as it lasts thirty "
            "days. An empty model stands for requests that reached none.",
            labels={"window": burn.long},
        )
        for burn in BURNS
    ]


def load_alerts() -> list[Alert]:
    """More comes in than can be answered, or it takes too long."""
    total = 'sum by (namespace, job, model, le) (rate(tidegate_stage_seconds_bucket{stage="total"}[5m]))'
    first = "sum by (namespace, job, model, le) (rate(tidegate_time_to_first_token_seconds_bucket[5m]))"
    return [
        Alert(
            name="TidegateSlow",
            expression=f"""
            histogram_quantile(0.99, {total}) > {P99_LIMIT_S:g}
              unless on {BY_MODEL} tidegate_slots
            or
            histogram_quantile(0.99, {first}) > {FIRST_TOKEN_LIMIT_S:g}
            """,
            hold="10m",
            severity="warning",
            runbook="slow",
            summary="One in 100 requests to model {{ $labels.model }} takes {{ $value | humanizeDuration }} or more",
            description=f"The 99th percentile of the last five minutes, from a request's arrival to its answer (limit "
            f"{P99_LIMIT_S:g} s), or, of a model that generates, to the first token (limit {FIRST_TOKEN_LIMIT_S:g} s).",
        ),
        Alert(
            name="TidegateQueueLong",
            expression=f"avg by {BY_MODEL} (avg_over_time(tidegate_queue_depth[5m])) > {WAITING_LIMIT}",
            hold="5m",
            severity="warning",
            runbook="queue-long",
            summary="{{ $value | humanize }} requests wait for model {{ $labels.model }} in each replica",
            description="The mean over replicas and five minutes. More comes in than is computed; once queues are "
            "full, callers are refused.",
        ),
        Alert(
            name="TidegateRefusing",
            expression=f"""
            sum by {BY_MODEL} (rate(tidegate_items_refused_total[5m]))
              / (sum by {BY_MODEL} (rate(tidegate_items_refused_total[5m]))
                 + sum by {BY_MODEL} (rate(tidegate_batch_rows_total[5m])))
              > {REFUSED_SHARE:g}
            or
            sum by {BY_MODEL} (rate(tidegate_generation_unanswered_total{{outcome="refused"}}[5m]))
              / (sum by {BY_MODEL} (rate(tidegate_generation_unanswered_total{{outcome="refused"}}[5m]))
                 + sum by {BY_MODEL} (rate(tidegate_answers_finished_total[5m])))
              > {REFUSED_SHARE:g}
            """,
            hold="5m",
            severity="critical",
            runbook="refusing",
            summary="{{ $value | humanizePercentage }} of what is asked of model {{ $labels.model }} is refused",
            description="Queues are full. Callers get 429 (RESOURCE_EXHAUSTED) and are told to come back.",
        ),
    ]


def state_alerts() -> list[Alert]:
    """Something is not as it should be, whatever traffic there is."""
    return [
        Alert(
            name="TidegateReplicaDown",
            expression='up{job="tidegate"} == 0',
            hold="3m",
            severity="warning",
            runbook="replica-down",
            summary="Replica {{ $labels.instance }} does not answer scrapes",
            description="It has ended, hangs, or can not be reached on its metrics port.",
        ),
        Alert(
            name="TidegateDown",
            expression='absent(up{job="tidegate"} == 1)',
            hold="2m",
            severity="critical",
            runbook="replica-down",
            summary="No replica answers scrapes",
            description="Prometheus reaches no server of job tidegate, or knows of none.",
        ),
        Alert(
            name="TidegateModelNotReady",
            expression=f"max by {BY_MODEL} (tidegate_model_ready) == 0",
            hold="2m",
            severity="critical",
            runbook="model-not-ready",
            summary="No replica can answer for model {{ $labels.model }}",
            description="Every replica has it configured, and none serves it: it is loading, failed to load, or hangs.",
        ),
        Alert(
            name="TidegateModelNotReadySomewhere",
            expression=f"tidegate_model_ready == 0 and on {BY_MODEL} (max by {BY_MODEL} (tidegate_model_ready) == 1)",
            hold="10m",
            severity="warning",
            runbook="model-not-ready",
            summary="Replica {{ $labels.instance }} can not answer for model {{ $labels.model }}",
            description="Others can. tidegate_model_state_info says why.",
        ),
        Alert(
            name="TidegateLoadFailed",
            expression=f"""
            max by {BY_MODEL} (tidegate_model_state_info{{state="READY", reason!=""}}) > 0
            or
            sum by {BY_MODEL} (increase(tidegate_model_load_failures_total[15m])) > 0
            """,
            hold="0s",
            severity="warning",
            runbook="load-failed",
            summary="A version of model {{ $labels.model }} could not be brought into service",
            description="It did not prove itself, or could not be fetched. What was served before goes on.",
        ),
        Alert(
            name="TidegateRegistryAway",
            expression="tidegate_registry_up == 0",
            hold="10m",
            severity="warning",
            runbook="registry-away",
            summary="Replica {{ $labels.instance }} can not reach the registry",
            description="Models go on being served. New versions are not noticed, and a replica that starts now has to "
            "do with what its cache holds.",
        ),
        Alert(
            name="TidegateVersionSkew",
            expression="""
            count by (namespace, job, model, version) (tidegate_model_info)
              < on (namespace, job, model) group_left
            count by (namespace, job, model) (count by (namespace, job, model, instance) (tidegate_model_info))
            """,
            hold="15m",
            severity="warning",
            runbook="version-skew",
            summary="Only {{ $value }} replicas serve version {{ $labels.version }} of model {{ $labels.model }}",
            description="Others serve another: the same request is answered differently, depending on where it lands. "
            "A challenger that every replica serves is not meant.",
        ),
        Alert(
            name="TidegateEngineFallback",
            expression="max by (namespace, job, model, version) (tidegate_engine_fallbacks) > 0",
            hold="15m",
            severity="warning",
            runbook="engine-fallback",
            summary="{{ $value }} graphs of model {{ $labels.model }} run without their TensorRT engine",
            description="ONNX Runtime answers instead: right, and slower. tidegate_engine_fallback_info says why.",
        ),
    ]


def drift_alert_group() -> Group:
    """Of every window: `signal_surprise` decides whether, `signal_distance` how grave."""
    drifted = "and tidegate:signal_surprise > 1"
    where = "Signal {{ $labels.signal }} of model {{ $labels.model }} version {{ $labels.version }}"
    text = (
        "Jensen–Shannon distance to the reference over {{ $labels.window }} and the whole fleet. At these numbers of "
        "pictures chance does not go so far."
    )
    return Group(
        "tidegate-drift-alerts",
        "1m",
        (
            Alert(
                name="TidegateStrongDrift",
                expression=f"tidegate:signal_distance >= {STRONG:g} {drifted}",
                hold="10m",
                severity="critical",
                runbook="drift",
                summary=f"{where} is far from what it was trained on: {{{{ $value | humanize }}}}",
                description=text,
            ),
            Alert(
                name="TidegateDrift",
                expression=f"tidegate:signal_distance >= {NOTICEABLE:g} < {STRONG:g} {drifted}",
                hold="10m",
                severity="warning",
                runbook="drift",
                summary=f"{where} has moved away from what it was trained on: {{{{ $value | humanize }}}}",
                description=text,
            ),
        ),
    )
