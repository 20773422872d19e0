"""The same certificate on all ports but that of metrics, and another one once its files are renewed."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc
import httpx
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc

from registry.local_store import LocalStore
from serving.access.counts import AccessCounts
from serving.access.tls import Tls
from serving.app import App, build_app
from serving.config import ServerConfig
from serving.config_sources import load_config
from tasks.errors import InvalidRecipe
from tests.certificates import Authority

LIVE = "/v2/health/live"


@dataclass(frozen=True)
class Encrypted:
    """A server without models."""

    app: App
    authority: Authority
    certificate: Path
    key: Path


@pytest.fixture
async def encrypted(tmp_path: Path) -> AsyncIterator[Encrypted]:
    authority, certificate, key = Authority(tmp_path), tmp_path / "tls.crt", tmp_path / "tls.key"
    authority.issue(certificate, key)
    ports = dict.fromkeys(("http_port", "grpc_port", "metrics_port", "admin_port"), 0)
    files = {"tls_certificate": str(certificate), "tls_key": str(key)}
    (tmp_path / "store").mkdir()
    config = ServerConfig(
        **ports, **files, admin_token="secret", drain_timeout_s=60.0, cache_dir=str(tmp_path / "cache")
    )
    app = build_app(LocalStore(tmp_path / "store"), config)
    await app.start()
    yield Encrypted(app, authority, certificate, key)
    if not app.host.draining:
        await app.stop()


async def serial_of(port: int, context: ssl.SSLContext) -> int:
    """Of the certificate that is shown to a client who names no server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    del reader
    return int(x509.load_der_x509_certificate(shown).serial_number)


async def grpc_health(port: int, trusted: bytes) -> bool:
    credentials = grpc.ssl_channel_credentials(trusted)
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
        return True


async def test_every_port_but_that_of_metrics_is_encrypted(encrypted: Encrypted) -> None:
    ports = encrypted.app.ports
    async with httpx.AsyncClient(verify=encrypted.authority.trusted(), trust_env=False) as http:
        assert (await http.get(f"https://127.0.0.1:{ports.http}{LIVE}")).json() == {"live": True}
        assert (await http.get(f"https://localhost:{ports.http}{LIVE}")).json() == {"live": True}
        headers = {"authorization": "Bearer secret"}
        assert (await http.get(f"https://127.0.0.1:{ports.admin}/v2", headers=headers)).status_code == 200
        assert "certificate_ok 1.0" in (await http.get(f"http://127.0.0.1:{ports.metrics}/metrics")).text
        for port in (ports.http, ports.admin):
            with pytest.raises(httpx.TransportError):
                await http.get(f"http://127.0.0.1:{port}{LIVE}")
    assert await grpc_health(ports.grpc, encrypted.authority.file.read_bytes())


async def test_a_client_that_trusts_another_authority_turns_away(encrypted: Encrypted, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    async with httpx.AsyncClient(verify=stranger.trusted(), trust_env=False) as http:
        for port in (encrypted.app.ports.http, encrypted.app.ports.admin):
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await http.get(f"https://127.0.0.1:{port}{LIVE}")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await grpc_health(encrypted.app.ports.grpc, stranger.file.read_bytes())
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_versions_before_1_2_are_refused(encrypted: Encrypted) -> None:
    old = encrypted.authority.trusted()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await serial_of(encrypted.app.ports.http, old)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert await serial_of(encrypted.app.ports.http, old)


async def test_a_renewed_certificate_is_shown_to_who_connects_from_then_on(
    encrypted: Encrypted, tmp_path: Path
) -> None:
    ports, authority = encrypted.app.ports, Authority(tmp_path, "later")
    async with httpx.AsyncClient(verify=encrypted.authority.trusted(), trust_env=False) as before:
        await before.get(f"https://127.0.0.1:{ports.http}{LIVE}")
        serial = authority.issue(encrypted.certificate, encrypted.key)
        async with asyncio.timeout(20):
            while True:
                try:
                    assert await serial_of(ports.http, authority.trusted()) == serial
                    break
                except ssl.SSLCertVerificationError:
                    await asyncio.sleep(0.1)
        assert await serial_of(ports.admin, authority.trusted()) == serial
        assert await grpc_health(ports.grpc, authority.file.read_bytes())
        assert (await before.get(f"https://127.0.0.1:{ports.http}{LIVE}")).status_code == 200


async def test_a_client_that_keeps_its_connection_and_does_not_listen_does_not_hold_up_the_end(
    encrypted: Encrypted,
) -> None:
    def ask() -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", encrypted.app.ports.http), timeout=20)
        connection = encrypted.authority.trusted().wrap_socket(plain, server_hostname="localhost")
        connection.sendall(f"GET {LIVE} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
        return connection

    with await asyncio.to_thread(ask):
        async with asyncio.timeout(20):
            await encrypted.app.stop()


def test_a_bad_renewal_leaves_the_certificate_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority, certificate, key, counts = Authority(tmp_path), tmp_path / "crt", tmp_path / "key", AccessCounts()
    authority.issue(certificate, key)
    tls, good = Tls(certificate, key, counts), key.read_bytes()
    authority.issue(certificate, tmp_path / "other")
    tls.reread()
    assert not counts.certificate_ok
    assert "the certificate read before is shown on" in caplog.records[-1].getMessage()
    key.write_bytes((tmp_path / "other").read_bytes())
    tls.reread()
    assert counts.certificate_ok
    assert key.read_bytes() != good


async def test_the_end_of_the_certificate_that_is_shown_is_a_metric(encrypted: Encrypted) -> None:
    async def shown() -> float:
        async with httpx.AsyncClient(trust_env=False) as http:
            text = (await http.get(f"http://127.0.0.1:{encrypted.app.ports.metrics}/metrics")).text
        return float(text.partition("\ntidegate_certificate_expiry_timestamp_seconds ")[2].split()[0])

    first = x509.load_pem_x509_certificate(encrypted.certificate.read_bytes()).not_valid_after_utc.timestamp()
    assert await shown() == first
    encrypted.authority.issue(encrypted.certificate, encrypted.key, lasts=timedelta(days=90))
    async with asyncio.timeout(20):
        while await shown() == first:  # noqa: ASYNC110 (files are polled)
            await asyncio.sleep(0.1)
    renewed = x509.load_pem_x509_certificate(encrypted.certificate.read_bytes()).not_valid_after_utc.timestamp()
    assert await shown() == renewed
    encrypted.key.unlink()
    async with asyncio.timeout(20):
        while encrypted.app.metrics.access.certificate_ok:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert await shown() == renewed  # it is shown on


def remove(certificate: Path, key: Path, authority: Authority) -> None:
    key.unlink()


def mismatch(certificate: Path, key: Path, authority: Authority) -> None:
    authority.issue(certificate, key.with_suffix(".other"))


def encrypt(certificate: Path, key: Path, authority: Authority) -> None:
    authority.issue(certificate, key, b"a password")


def scribble(certificate: Path, key: Path, authority: Authority) -> None:
    certificate.write_text("no PEM")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (remove, "No such file"),
        (mismatch, "not a pair of PEM files: KEY_VALUES_MISMATCH"),
        (encrypt, "is encrypted"),
        (scribble, "not a pair of PEM files"),
    ],
)
def test_bad_files_at_the_start_are_refused(
    tmp_path: Path, spoil: Callable[[Path, Path, Authority], None], told: str
) -> None:
    authority, certificate, key = Authority(tmp_path), tmp_path / "crt", tmp_path / "key"
    authority.issue(certificate, key)
    spoil(certificate, key, authority)
    with pytest.raises(InvalidRecipe, match=told) as refused:
        Tls(certificate, key, AccessCounts())
    assert str(key) in str(refused.value)


def test_a_certificate_whose_end_can_not_be_read_is_shown_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority, certificate, key, counts = Authority(tmp_path), tmp_path / "crt", tmp_path / "key", AccessCounts()
    authority.issue(certificate, key)
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    end = x509.load_der_x509_certificate(der).not_valid_after_utc.strftime("%y%m%d%H%M%SZ").encode()
    assert der.count(end) == 1
    # Neither seconds nor Z, which RFC 5280 asks for.
    certificate.write_text(ssl.DER_cert_to_PEM_cert(der.replace(end, end[:10] + b"+00")))
    Tls(certificate, key, counts)
    assert counts.certificate_ends_at is None
    assert "no metric says when it ends" in caplog.text


@pytest.mark.parametrize("setting", ["TIDEGATE_TLS_CERTIFICATE", "TIDEGATE_TLS_KEY"])
def test_one_file_without_the_other_is_refused(setting: str) -> None:
    with pytest.raises(InvalidRecipe, match="belong together"):
        load_config({setting: "a.pem"}, {})
