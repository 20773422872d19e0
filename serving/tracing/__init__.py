"""OpenTelemetry traces of a share of the requests: where the time of one of them went."""
