"""The server's certificate, for HTTP and for gRPC, taken up again when its files are renewed."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from serving.access.certificate_end import chain_ends_at
from serving.access.counts import AccessCounts
from serving.file_watch import FileWatch
from tasks.errors import InvalidRecipe

log = logging.getLogger(__name__)


class Pair(NamedTuple):
    """Certificate and key, as each server takes them."""

    context: ssl.SSLContext
    for_grpc: Any
    ends_at: float | None
    """In seconds since the epoch; None where its end can not be read."""


class Tls:
    """Connections are made with the files as they last were right; TLS 1.2 at least.

    Raises InvalidRecipe for files that are bad at the start.
    """

    def __init__(self, certificate: Path, key: Path, counts: AccessCounts) -> None:
        self._certificate, self._key, self._counts = certificate, key, counts
        self.watch = FileWatch((certificate, key), self.reread)
        self._show(self._load())
        self._renewed_for_grpc: Any = None
        self.context = self._load().context
        self.context.sni_callback = self._choose

    def grpc_credentials(self) -> Any:
        """For a port of a gRPC server, which asks at every handshake whether there is another certificate."""
        return grpc.dynamic_ssl_server_credentials(self._shown.for_grpc, self._take_renewed)

    def reread(self) -> None:
        """The files have changed. Bad ones change nothing and are complained about, in the log and as a metric."""
        try:
            self._show(self._load())
        except InvalidRecipe as error:
            self._counts.certificate_ok = False
            log.error("%s; the certificate read before is shown on", error)
        else:
            self._renewed_for_grpc = self._shown.for_grpc
            self._counts.certificate_ok = True
            log.info("certificate read again from %s", self._certificate)

    def _show(self, pair: Pair) -> None:
        self._shown, self._counts.certificate_ends_at = pair, pair.ends_at

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Called in every handshake, also of clients that name no server."""
        connection.context = self._shown.context

    def _take_renewed(self) -> Any:
        renewed, self._renewed_for_grpc = self._renewed_for_grpc, None
        return renewed

    def _load(self) -> Pair:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._certificate, self._key, password=self._refuse_password)
            pair = self._key.read_bytes(), self._certificate.read_bytes()
        except ssl.SSLError as error:
            files, cause = f"certificate {self._certificate} and key {self._key}", error.reason or error
            raise InvalidRecipe(f"{files} are not a pair of PEM files: {cause}") from error
        except OSError as error:
            raise InvalidRecipe(f"certificate {self._certificate} or key {self._key}: {error.strerror}") from error
        return Pair(context, grpc.ssl_server_certificate_configuration([pair]), self._end_of(pair[1]))

    def _end_of(self, pem: bytes) -> float | None:
        """OpenSSL has taken it, and takes times that no authority may write: clients judge those, not we."""
        try:
            return chain_ends_at(pem)
        except InvalidRecipe as error:
            log.warning("certificate %s is shown, and no metric says when it ends: %s", self._certificate, error)
            return None

    def _refuse_password(self) -> str:
        """Or OpenSSL would ask for it on the terminal."""
        raise InvalidRecipe(f"key {self._key} is encrypted: the server needs it without a password, in mode 0600")
