"""Which series a panel asks for: those that are left by the choices at the top of its dashboard."""

from __future__ import annotations

FLEET = 'namespace=~"$namespace", job=~"$job"'
REPLICA = f'{FLEET}, instance=~"$instance"'
MODEL = f'{REPLICA}, model=~"$model"'
VERSION = f'{MODEL}, version=~"$version"'
JUDGED = f'{FLEET}, model="$model", version="$version", variant="$variant"'
"""Of one variant of one version, whose bins nobody else has; the whole fleet, whose counts rules have added up."""

WINDOW = 'window="$window"'


def series(name: str, labels: str, *more: str) -> str:
    """A metric of the server by its name without "tidegate_". `labels`: one of the above; `more`: as in code="200"."""
    return f"tidegate_{name}{{{', '.join([labels, *more])}}}"


def recorded(name: str, *more: str) -> str:
    """A series of deploy/prometheus' drift rules, over the window that was chosen."""
    return f"tidegate:{name}{{{', '.join([JUDGED, WINDOW, *more])}}}"


def rate(selected: str) -> str:
    """Per second, over as short a time as the scrapes and the width of the panel allow."""
    return f"rate({selected}[$__rate_interval])"


def growth(selected: str) -> str:
    """Over all of the time that the dashboard shows."""
    return f"increase({selected}[$__range])"


def summed(by: str, expression: str) -> str:
    """Over replicas and whatever else `by`, labels with commas between, does not name."""
    return f"sum by ({by}) ({expression})"


def share(by: str, part: str, whole: str) -> str:
    """Rate of one counter by that of another, added up first: a replica with little traffic counts little."""
    return f"{summed(by, rate(part))} / {summed(by, rate(whole))}"


def mean(by: str, histogram: str, labels: str, *more: str) -> str:
    return share(by, series(f"{histogram}_sum", labels, *more), series(f"{histogram}_count", labels, *more))


def quantile(level: float, by: str, histogram: str, labels: str, *more: str) -> str:
    """Of a histogram of the server, all replicas together. `by`: empty for all models together."""
    groups = f"{by}, le" if by else "le"
    return f"histogram_quantile({level:g}, {summed(groups, rate(series(f'{histogram}_bucket', labels, *more)))})"


def or_zero(expression: str) -> str:
    """0 where there is nothing to count."""
    return f"{expression} or vector(0)"
