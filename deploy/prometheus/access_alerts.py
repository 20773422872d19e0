"""When the files that say who may ask, or that encrypt what is asked, have to be renewed or mended."""

from __future__ import annotations

from deploy.prometheus.rule import Alert, Group

DAY_S = 86_400
WARN_DAYS, WAKE_DAYS = 14, 2
"""Before a certificate ends. Whoever renews by machine does so a month before, and whoever does by hand needs days."""
LEFT = "tidegate_certificate_expiry_timestamp_seconds - time()"
ENDS = "A certificate of the chain of replica {{ $labels.instance }} ends in {{ $value | humanizeDuration }}"
REFUSED = "From its end on clients that need it refuse to connect"
"""All of them where it is the server's own; of another of the chain, those that know no way around it."""


def access_alert_group() -> Group:
    """Of the key file and of the certificate. Each replica reads files of its own."""
    return Group("tidegate-access", "1m", (*file_alerts(), *end_alerts()))


def file_alerts() -> list[Alert]:
    """Files that a server could not take. It goes on with what it read before, and a replica that starts can not."""
    return [
        Alert(
            name="TidegateKeyFileBad",
            expression="tidegate_key_file_ok == 0",
            hold="5m",
            severity="warning",
            runbook="key-file",
            summary="Replica {{ $labels.instance }} can not read its key file",
            description="It goes by the keys that it read before: new ones are refused, and revoked ones let in. A "
            "replica that starts now does not.",
        ),
        Alert(
            name="TidegateCertificateBad",
            expression="tidegate_certificate_ok == 0",
            hold="5m",
            severity="warning",
            runbook="certificate",
            summary="Replica {{ $labels.instance }} can not take its renewed certificate",
            description="It shows the one before, until that ends. A replica that starts now does not.",
        ),
    ]


def end_alerts() -> list[Alert]:
    """A certificate that is shown ends, or has ended: the server's own, or one of those above it."""
    return [
        Alert(
            name="TidegateCertificateEnding",
            expression=f"{LEFT} < {WARN_DAYS * DAY_S} >= {WAKE_DAYS * DAY_S}",
            hold="1h",
            severity="warning",
            runbook="certificate",
            summary=ENDS,
            description=f"Nothing has renewed it so far. {REFUSED}.",
        ),
        Alert(
            name="TidegateCertificateEnds",
            expression=f"{LEFT} < {WAKE_DAYS * DAY_S}",
            hold="5m",
            severity="critical",
            runbook="certificate",
            summary=ENDS,
            description=f"{REFUSED}, over HTTP and gRPC. Below zero that is now.",
        ),
    ]
