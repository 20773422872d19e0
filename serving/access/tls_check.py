"""Settings of TLS go together. Not in tls.py, which imports gRPC: the command line reads settings without it."""

from __future__ import annotations

from tasks.errors import InvalidRecipe


def check_tls(certificate: str, key: str) -> None:
    """Raises InvalidRecipe for one file without the other."""
    if bool(certificate) != bool(key):
        raise InvalidRecipe("configuration: tls_certificate and tls_key belong together; give both files, or neither")
