"""What the console shows of each model: what it is, what serves it, and the evidence of every variant."""

from __future__ import annotations

from typing import Any

import msgspec

from registry.manifest import ClassEvidence, Evidence, GateResult, Manifest, Precision
from registry.package import ModelPackage
from serving.model_host import ModelHost
from serving.model_slot import ModelState
from serving.served import Served
from serving.upstream.model import VERSION as UPSTREAM
from tasks.errors import TidegateError
from tasks.task import task_class
from tasks.text_generation import TextGenerationSpec

MAX_WORST = 5
"""Classes of a variant that are named, those first that compression harmed most."""


class VariantFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One way to run the model, and why it may be trusted. `trained`: the metric of the model before export; `worst`:
    the classes that lost most, of `num_classes` that the held-out data had."""

    name: str
    precision: Precision
    provider: str
    passed: bool
    metric: str
    better: str
    value: float
    trained: float | None
    num_examples: int
    num_bytes: int
    latency_ms: dict[str, float]
    metrics: dict[str, float]
    num_classes: int
    worst: tuple[ClassEvidence, ...]
    gates: tuple[GateResult, ...]


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the host's index with all that is known of it. `key` is how the other answers name it: the model's
    name where that leads to this version, else name/version. `task`: the facts of the task without its labels."""

    key: str
    name: str
    version: str
    state: str
    reason: str
    kind: str
    verb: str
    variant: str = ""
    digest: str = ""
    is_upstream: bool = False
    is_chat: bool = False
    num_labels: int = 0
    num_examples: int = 0
    task: dict[str, Any] = {}
    image_sizes: tuple[tuple[int, int], ...] = ()
    created_at: str = ""
    source: str = ""
    git_commit: str = ""
    run_id: str = ""
    fallbacks: tuple[str, ...] = ()
    variants: tuple[VariantFacts, ...] = ()


def find_served(host: ModelHost, state: ModelState) -> Served | None:
    """What answers for a line of the index, if anything does."""
    try:
        return host.get(state.name, state.version or None)
    except TidegateError:
        return None


def key_of(host: ModelHost, served: Served) -> str:
    """The name alone where it leads to this very version."""
    try:
        is_routed = host.get(served.name) is served
    except TidegateError:
        is_routed = False
    return served.name if is_routed else f"{served.name}/{served.version}"


def describe_models(host: ModelHost) -> list[ModelFacts]:
    """Everything configured, in the order of the index; a version that two references lead to once."""
    found: dict[str, ModelFacts] = {}
    for state in host.index():
        served = find_served(host, state)
        key = key_of(host, served) if served else "/".join(filter(None, (state.name, state.version)))
        facts = describe_model(state, served, key)
        found.setdefault(facts.key, facts)
    return list(found.values())


def describe_model(state: ModelState, served: Served | None, key: str) -> ModelFacts:
    """One line. Reasons are told without places: the prediction port is no port of administration."""
    facts = ModelFacts(
        key=key,
        name=state.name,
        version=state.version,
        state=str(state.state),
        reason=state.without_places().reason,
        kind="",
        verb="",
    )
    if served is None:
        return facts
    if served.package is None:
        return msgspec.structs.replace(
            facts, variant=UPSTREAM, kind="text_generation", verb="generate", is_upstream=True, is_chat=True
        )
    fallbacks = tuple(f"{one.variant} {one.role}: {one.reason}" for one in served.statistics.engine_fallbacks)
    return msgspec.structs.replace(describe_package(facts, served.package), variant=served.variant, fallbacks=fallbacks)


def describe_package(facts: ModelFacts, package: ModelPackage) -> ModelFacts:
    """The same with what the manifest says."""
    manifest: Manifest = package.manifest
    task = {name: value for name, value in manifest.task.items() if name != "labels"}
    spec = package.task_spec
    return msgspec.structs.replace(
        facts,
        kind=str(manifest.task["kind"]),
        verb=str(task_class(str(manifest.task["kind"])).verb),
        digest=package.digest,
        is_chat=isinstance(spec, TextGenerationSpec) and spec.chat_template is not None,
        num_labels=len(manifest.task.get("labels", ())),
        num_examples=len(manifest.golden_inputs),
        task=task,
        image_sizes=manifest.image_sizes,
        created_at=manifest.lineage.created_at,
        source=manifest.lineage.source,
        git_commit=manifest.lineage.git_commit,
        run_id=manifest.lineage.run_id,
        variants=tuple(
            describe_variant(name, variant.precision, variant.requires.provider, variant.evidence)
            for name, variant in manifest.variants.items()
        ),
    )


def describe_variant(name: str, precision: Precision, provider: str, evidence: Evidence) -> VariantFacts:
    seen = [one for one in evidence.per_class if one.support]
    worst = sorted(seen, key=lambda one: (one.variant - one.trained, one.variant))[:MAX_WORST]
    return VariantFacts(
        name=name,
        precision=precision,
        provider=provider,
        passed=evidence.passed,
        metric=evidence.metric,
        better=evidence.better,
        value=evidence.metrics[evidence.metric],
        trained=evidence.metrics.get(f"trained_{evidence.metric}"),
        num_examples=evidence.num_examples,
        num_bytes=evidence.num_bytes,
        latency_ms=evidence.latency_ms,
        metrics=evidence.metrics,
        num_classes=len(seen),
        worst=tuple(worst),
        gates=evidence.gates,
    )
