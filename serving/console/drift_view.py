"""Drift as the console shows it: the monitor's verdict, and the two histograms of every signal that it compared."""

from __future__ import annotations

from typing import Literal

import msgspec

from monitoring.drift import DriftReport, SignalDrift
from monitoring.monitor import Monitor
from monitoring.profile import ReferenceHistogram


class SignalView(msgspec.Struct, frozen=True, kw_only=True):
    """One signal. `reference` and `live` are shares [bins], each summing to one, or all zero where nothing was seen;
    `verdict` is None until the window is full enough to judge."""

    signal: str
    kind: Literal["scalar", "category", "weighted"]
    bins: tuple[str, ...]
    reference: tuple[float, ...]
    live: tuple[float, ...]
    num_images: float
    verdict: SignalDrift | None


class DriftView(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a report, and its signals with their histograms, most surprising first."""

    status: str
    num_images: float
    min_images: float
    window_size: int
    reference_images: int
    alpha: float
    signals: tuple[SignalView, ...]


class DriftSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one model in a line."""

    status: str
    num_images: float
    min_images: float
    drifted: tuple[str, ...]


def view_drift(monitor: Monitor) -> DriftView:
    """Judged at most as often as the monitor's interval allows, however many look. For a thread: a large profile
    takes milliseconds."""
    report, counts = monitor.report(), monitor.counts()
    verdicts = {verdict.signal: verdict for verdict in report.signals}
    profile = monitor.profile.signals
    ranked = [*verdicts, *(name for name in profile if name not in verdicts)]
    return DriftView(
        status=report.status,
        num_images=report.num_images,
        min_images=report.min_images,
        window_size=monitor.config.window_size,
        reference_images=report.reference_images,
        alpha=report.alpha,
        signals=tuple(
            view_signal(name, profile[name], counts[name].weights.tolist(), verdicts.get(name)) for name in ranked
        ),
    )


def view_signal(name: str, reference: ReferenceHistogram, live: list[float], verdict: SignalDrift | None) -> SignalView:
    return SignalView(
        signal=name,
        kind=reference.kind,
        bins=reference.bin_names(),
        reference=shares(reference.counts),
        live=shares(live),
        num_images=sum(live),
        verdict=verdict,
    )


def shares(counts: tuple[float, ...] | list[float]) -> tuple[float, ...]:
    total = sum(counts) or 1.0
    return tuple(count / total for count in counts)


def summarise(report: DriftReport) -> DriftSummary:
    return DriftSummary(
        status=report.status,
        num_images=report.num_images,
        min_images=report.min_images,
        drifted=tuple(verdict.signal for verdict in report.signals if verdict.drifted),
    )
