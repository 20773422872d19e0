"""When somebody must look. Every alert has a page in docs/runbooks/ for whoever is woken by it.

`critical` is worth waking somebody: callers are without answers, or get wrong ones. `warning` waits for the morning.
Faults, drift and access have alerts of their own beside these (fault_rules.py, drift_alerts.py, access_alerts.py).
"""

from __future__ import annotations

from deploy.prometheus.fault_rules import BY_MODEL
from deploy.prometheus.rule import Alert, Group
from serving.config import ServerConfig

P99_LIMIT_S = 1.0
FIRST_TOKEN_LIMIT_S = 5.0
REFUSED_SHARE = 0.01
WAITING_LIMIT = ServerConfig().max_waiting // 2
"""Per replica. Twice as many fill the queue of a model that generates, and somebody is refused."""
MIN_WATCHED = ServerConfig().drift_min_window
"""An hour's pictures, or prompts, of which fewer tell nothing of drift."""
FAILED_SHARE = 0.01


def alert_group() -> Group:
    """Of load and of state."""
    return Group("tidegate-alerts", "30s", (*load_alerts(), *state_alerts()))


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
    return [*replica_alerts(), *readiness_alerts(), *deviation_alerts(), unwatched_alert()]


def replica_alerts() -> list[Alert]:
    """Servers that Prometheus does not reach."""
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
    ]


def readiness_alerts() -> list[Alert]:
    """Models that do not answer, and versions that could not be brought into service."""
    return [
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
    ]


def deviation_alerts() -> list[Alert]:
    """Everything answers, and not as it was meant to."""
    return [
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


def unwatched_alert() -> Alert:
    """To drop some is meant: signals cost a small part of one core and no more. To see next to nothing is not."""

    def grown(outcome: str) -> str:
        return f'sum by {BY_MODEL} (increase(tidegate_drift_pictures_total{{outcome="{outcome}"}}[1h]))'

    return Alert(
        name="TidegateDriftUnwatched",
        expression=f"""
        {grown("dropped")} >= {MIN_WATCHED} and {grown("observed")} < {MIN_WATCHED}
        or
        {grown("failed")} > {FAILED_SHARE:g} * ({grown("observed")} + {grown("failed")})
        """,
        hold="10m",
        severity="warning",
        runbook="drift-unwatched",
        summary="{{ $value | humanize }} pictures or prompts of model {{ $labels.model }} were not watched in an hour",
        description=f"Their signals failed, or there was no time for them and fewer than {MIN_WATCHED} are left: if "
        "this model's traffic drifts, nobody is told.",
    )
