"""Keys and certificates from outside: curl, unmodified tritonclients and the OpenAI client against a real server."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from serving.access.api_key import new_key
from serving.access.caller import Role
from serving.access.key_edits import issue_key
from tests.certificates import Authority
from tests.e2e.conftest import TOKEN, RunningServer, start_server
from tests.handmade import Handmade, build_package, encoded, picture
from tests.tiny_language import build_language_package

pytestmark = pytest.mark.e2e
IMAGES = np.stack([picture(seed, 32, 32) for seed in range(3)])
PATIENCE_S = 120
GENERATION = {"model": "tiny", "prompt": "Return the number", "max_tokens": 8}


@dataclass(frozen=True)
class Guarded:
    """A server with keys and certificate. `slow`: a key for one request in a hundred seconds."""

    server: RunningServer
    folder: Path
    authority: Authority
    stranger: Authority
    keys: dict[str, str] = field(repr=False)

    @property
    def key_file(self) -> Path:
        return self.folder / "keys.toml"

    def get(self, path: str, key: str) -> httpx.Response:
        headers = {"X-API-Key": key}
        return httpx.get(
            f"https://{self.server.http}{path}",
            headers=headers,
            verify=self.authority.trusted(),
            trust_env=False,
            timeout=60,
        )

    def openai(self, key: str) -> openai.OpenAI:
        http_client = httpx.Client(verify=self.authority.trusted(), trust_env=False, timeout=60)
        return openai.OpenAI(
            base_url=f"https://{self.server.http}/v1", api_key=key, http_client=http_client, max_retries=0
        )

    def triton_http(self, trusted: Authority) -> triton_http.InferenceServerClient:
        options = {"ca_certs": str(trusted.file)}
        return triton_http.InferenceServerClient(self.server.http, ssl=True, ssl_options=options)

    def triton_grpc(self, trusted: Authority) -> triton_grpc.InferenceServerClient:
        return triton_grpc.InferenceServerClient(self.server.grpc, ssl=True, root_certificates=str(trusted.file))

    def tidegate(self, *arguments: str) -> str:
        """What a command about keys prints."""
        command = [sys.executable, "-m", "tidegate", "keys", *arguments, "--file", str(self.key_file)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("access")
    authority, stranger = Authority(folder), Authority(folder, "stranger")
    authority.issue(folder / "tls.crt", folder / "tls.key")
    rates = {"shop": None, "slow-curl": 0.01, "slow-openai": 0.01, "slow-grpc": 0.01, "gone": None, "later": None}
    keys = {name: issue_key(folder / "keys.toml", name, Role.PREDICT, rate).text() for name, rate in rates.items()}
    keys["operations"] = issue_key(folder / "keys.toml", "operations", Role.ADMIN, None).text()
    packages = [build_package(folder / "colours", Handmade()), build_language_package(folder / "tiny")]
    settings = {
        "API_KEYS": str(folder / "keys.toml"),
        "TLS_CERTIFICATE": str(folder / "tls.crt"),
        "TLS_KEY": str(folder / "tls.key"),
        "LOG_LEVEL": "debug",
    }
    with start_server(folder, packages, **settings) as server:
        yield Guarded(server, folder, authority, stranger, keys)
        told = json.dumps(server.errors)
    assert not [key for key in keys.values() if key.rpartition("_")[2] in told], "a key is in the log"


@pytest.fixture
def curl(guarded: Guarded, tmp_path: Path, require_tool: Callable[[str], str]) -> Callable[..., tuple[int, str]]:
    """curl's exit code, and what it printed: the status, the headers and the body."""
    (tmp_path / "picture.png").write_bytes(encoded(1))

    def run(*arguments: str, trusted: Authority = guarded.authority) -> tuple[int, str]:
        options = ["--silent", "--include", "--max-time", "30", "--cacert", str(trusted.file)]
        command = [require_tool("curl"), *options, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
        return done.returncode, done.stdout

    return run


def tensor(kind: Any) -> Any:
    made = kind.InferInput("image", list(IMAGES.shape), "UINT8")
    made.set_data_from_numpy(IMAGES)
    return made


def until(condition: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.1)


def scrape(guarded: Guarded) -> str:
    with urllib.request.urlopen(f"http://{guarded.server.metrics}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


def test_curl_predicts_with_a_key_and_not_without(guarded: Guarded, curl: Callable[..., tuple[int, str]]) -> None:
    classify = ("--data-binary", "@picture.png", f"https://{guarded.server.http}/v1/models/colours/classify")
    for header in (f"Authorization: Bearer {guarded.keys['shop']}", f"X-API-Key: {guarded.keys['shop']}"):
        code, shown = curl("--header", header, *classify)
        assert (code, shown.split()[1]) == (0, "200")
        assert '"model_version":"1"' in shown
    for header, told in (("X-Nothing: 1", "an API key is needed"), (f"X-API-Key: {new_key().text()}", "no API key of")):
        code, shown = curl("--header", header, *classify)
        assert shown.split()[1] == "401"
        assert told in shown
    code, shown = curl(f"https://{guarded.server.http}/v2/health/ready")
    assert shown.split()[1] == "200"


def test_curl_is_told_when_to_come_back(guarded: Guarded, curl: Callable[..., tuple[int, str]]) -> None:
    call = ("--header", f"X-API-Key: {guarded.keys['slow-curl']}", f"https://{guarded.server.http}/v2")
    assert curl(*call)[1].split()[1] == "200"
    _, shown = curl(*call)
    assert shown.split()[1] == "429"
    assert "retry-after: " in shown.lower()


def test_administration_needs_an_admin_key(guarded: Guarded, curl: Callable[..., tuple[int, str]]) -> None:
    index = ("--request", "POST", f"https://{guarded.server.admin}/v2/repository/index")
    for key, status in ((guarded.keys["shop"], "403"), (guarded.keys["operations"], "200"), (TOKEN, "200")):
        assert curl("--header", f"Authorization: Bearer {key}", *index)[1].split()[1] == status
    assert curl(*index)[1].split()[1] == "401"
    load = (f"https://{guarded.server.http}/v2/repository/models/colours/load", "--request", "POST")
    assert curl("--header", f"X-API-Key: {guarded.keys['operations']}", *load)[1].split()[1] == "403"  # other port


def test_who_trusts_another_authority_sends_nothing(guarded: Guarded, curl: Callable[..., tuple[int, str]]) -> None:
    assert curl(f"https://{guarded.server.http}/v2/health/live", trusted=guarded.stranger) == (60, "")
    with guarded.triton_http(guarded.stranger) as client, pytest.raises(ssl.SSLCertVerificationError):
        client.is_server_live()
    with (
        guarded.triton_grpc(guarded.stranger) as client,
        pytest.raises(InferenceServerException, match=r"certificate|CERTIFICATE|handshake"),
    ):
        client.is_server_live(client_timeout=60)
    with guarded.triton_http(guarded.authority) as client:
        assert client.is_server_live()


def test_a_stranger_is_turned_away_before_his_body_is_read(guarded: Guarded) -> None:
    host, _, port = guarded.server.http.partition(":")
    with (
        socket.create_connection((host, int(port)), timeout=60) as plain,
        guarded.authority.trusted().wrap_socket(plain, server_hostname=host) as connection,
    ):
        connection.sendall(b"POST /v2/models/colours/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\nabc")
        assert connection.recv(12) == b"HTTP/1.1 401"


def test_tritons_http_client(guarded: Guarded) -> None:
    with guarded.triton_http(guarded.authority) as client:
        headers = {"Authorization": f"Bearer {guarded.keys['shop']}"}
        assert client.infer("colours", [tensor(triton_http)], headers=headers).get_response()["model_version"] == "1"
        assert client.get_model_metadata("colours", headers=headers)["name"] == "colours"
        with pytest.raises(InferenceServerException, match="an API key is needed"):
            client.infer("colours", [tensor(triton_http)])
        with pytest.raises(InferenceServerException, match="no API key of this server"):
            client.infer("colours", [tensor(triton_http)], headers={"X-API-Key": "guess"})


def test_tritons_grpc_client_and_its_streams(guarded: Guarded) -> None:
    with guarded.triton_grpc(guarded.authority) as client:
        assert client.is_server_ready()
        headers = {"authorization": f"Bearer {guarded.keys['shop']}"}
        assert client.infer("colours", [tensor(triton_grpc)], headers=headers).get_response().model_version == "1"
        for call in (client.get_server_metadata, partial(client.infer, "colours", [tensor(triton_grpc)])):
            with pytest.raises(InferenceServerException, match="an API key is needed") as refused:
                call()
            assert refused.value.status() == "StatusCode.UNAUTHENTICATED"
        told: list[str] = []
        client.start_stream(
            lambda result, error: told.append(str(error) if error else result.get_response().id),
            headers={"x-api-key": guarded.keys["slow-grpc"]},
        )
        for number in range(3):
            client.async_stream_infer("colours", [tensor(triton_grpc)], request_id=str(number))
        until(lambda: len(told) == 3)
        client.stop_stream()
        assert told[0] == "0"
        assert all("may ask 0.01 times a second" in each for each in told[1:])
        with pytest.raises(InferenceServerException) as refused:
            client.infer("colours", [tensor(triton_grpc)], headers={"x-api-key": guarded.keys["slow-grpc"]})
        assert refused.value.status() == "StatusCode.RESOURCE_EXHAUSTED"


def test_the_openai_client(guarded: Guarded) -> None:
    with guarded.openai(guarded.keys["shop"]) as client:
        assert [model.id for model in client.models.list()] == ["tiny"]
        assert client.completions.create(**GENERATION).usage.completion_tokens == 8
        assert len(list(client.completions.create(**GENERATION, stream=True))) > 1
    for key in (new_key().text(), "none"):
        with guarded.openai(key) as client:
            with pytest.raises(openai.AuthenticationError) as refused:
                client.completions.create(**GENERATION)
            assert refused.value.code == "invalid_api_key"
            with pytest.raises(openai.AuthenticationError):
                client.models.list()
    with guarded.openai(guarded.keys["slow-openai"]) as client:
        client.completions.create(**GENERATION)
        with pytest.raises(openai.RateLimitError) as limited:
            client.completions.create(**GENERATION)
        assert int(limited.value.response.headers["retry-after"]) > 50


def test_keys_come_and_go_while_the_server_runs(guarded: Guarded) -> None:
    key = guarded.tidegate("add", "new")
    until(lambda: guarded.get("/v2", key).status_code == 200)
    assert guarded.get("/v2", guarded.keys["gone"]).status_code == 200
    guarded.tidegate("revoke", "gone")
    until(lambda: guarded.get("/v2", guarded.keys["gone"]).status_code == 401)
    assert guarded.get("/v2", key).status_code == 200
    shown = scrape(guarded)
    assert 'tidegate_key_requests_total{key="new",outcome="admitted"}' in shown
    assert 'key="gone"' not in shown
    assert not [name for name in guarded.keys if guarded.keys[name].rpartition("_")[2] in shown]


def test_a_bad_edit_locks_nobody_out(guarded: Guarded) -> None:
    good = guarded.key_file.read_bytes()
    guarded.key_file.write_bytes(b"[keys\n")
    until(lambda: "tidegate_key_file_ok 0.0" in scrape(guarded))
    assert guarded.get("/v2", guarded.keys["later"]).status_code == 200
    assert any("stay valid" in line["message"] for line in guarded.server.errors)
    guarded.key_file.write_bytes(good)
    until(lambda: "tidegate_key_file_ok 1.0" in scrape(guarded))


def test_a_renewed_certificate_needs_no_restart(guarded: Guarded) -> None:
    guarded.stranger.issue(guarded.folder / "tls.crt", guarded.folder / "tls.key")

    def is_renewed() -> bool:
        try:
            with guarded.triton_http(guarded.stranger) as client:
                return bool(client.is_server_live())
        except ssl.SSLCertVerificationError:
            return False

    until(is_renewed)
    with guarded.triton_grpc(guarded.stranger) as client:
        assert client.is_server_live(client_timeout=60)
    guarded.authority.issue(guarded.folder / "tls.crt", guarded.folder / "tls.key")
    until(lambda: not is_renewed())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"API_KEYS": "nowhere.toml"}, "key file nowhere.toml: there is none; `tidegate keys add"),
        ({"TLS_CERTIFICATE": "nowhere.pem"}, "tls_certificate and tls_key belong together"),
        ({"TLS_CERTIFICATE": "nowhere.pem", "TLS_KEY": "nowhere.key"}, "nowhere.pem or key nowhere.key: No such file"),
    ],
)
def test_a_server_that_could_not_keep_its_promise_does_not_start(
    tmp_path: Path, settings: dict[str, str], told: str
) -> None:
    environment = os.environ | {f"TIDEGATE_{name}": value for name, value in settings.items()}
    environment |= {f"TIDEGATE_{name}_PORT": "0" for name in ("HTTP", "GRPC", "METRICS", "ADMIN")}
    command = [sys.executable, "-m", "tidegate", "serve", "--store", str(tmp_path)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path
    )
    assert done.returncode == 5
    assert told in done.stderr.splitlines()[-1]
