from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.config import ServerConfig
from serving.config_sources import load_config
from tasks.errors import InvalidRecipe


def test_flags_win_over_variables_over_the_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('http_port = 1\ngrpc_port = 1\nmetrics_port = 1\nmodels = ["digits"]\n')
    environment = {"TIDEGATE_HTTP_PORT": "2", "TIDEGATE_GRPC_PORT": "2"}
    config = load_config(environment, {"http_port": 3, "models": None}, file)
    assert (config.http_port, config.grpc_port, config.metrics_port, config.admin_port) == (3, 2, 1, 8003)
    assert config.models == ("digits",)


def test_the_file_may_be_named_by_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text("max_queue = 7\n")
    assert load_config({"TIDEGATE_CONFIG": str(file)}, {}).max_queue == 7


def test_variables_are_converted() -> None:
    environment = {
        "TIDEGATE_MODELS": "digits, cats@challenger,dogs/3",
        "TIDEGATE_SHARED_MEMORY": "true",
        "TIDEGATE_MAX_WAIT_MS": "2.5",
        "TIDEGATE_REQUEST_TIMEOUT_S": "null",
    }
    config = load_config(environment, {})
    assert config.models == ("digits", "cats@challenger", "dogs/3")
    assert config.shared_memory
    assert config.max_wait_ms == 2.5
    assert config.request_timeout_s is None


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"TIDEGATE_HTPP_PORT": "80"}, "TIDEGATE_HTPP_PORT"),
        ({"TIDEGATE_HTTP_PORT": "eighty"}, r"http_port"),
        ({"TIDEGATE_HTTP_PORT": "70000"}, r"http_port"),
        ({"TIDEGATE_SWAP": "sideways"}, r"swap"),
    ],
)
def test_a_wrong_variable_is_named(environment: dict[str, str], complaint: str) -> None:
    with pytest.raises(InvalidRecipe, match=complaint):
        load_config(environment, {})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("max_qeue = 3", "unknown setting 'max_qeue'; max_queue is nearest"),
        ('max_queue = "3"', "max_queue"),
        ("max_queue = 0", "max_queue"),
        ("max_queue =", "server.toml"),
        ("[serving]\nmax_queue = 3", "unknown setting 'serving'"),
        (
            '[upstreams.gpt]\nurl = "http://host/v1"\nmodell = "x"',
            r"`modell` - at `\$\.upstreams.*; model is nearest; known: ",
        ),
    ],
)
def test_a_wrong_file_is_named_with_its_field(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "server.toml"
    file.write_text(text)
    with pytest.raises(InvalidRecipe, match=complaint) as raised:
        load_config({}, {}, file)
    assert "server.toml" in str(raised.value)


def test_a_missing_file_is_an_error_and_not_the_defaults(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match="absent"):
        load_config({}, {}, tmp_path / "absent.toml")


def test_what_kubernetes_adds_beside_a_service_named_tidegate_is_no_setting() -> None:
    environment = {
        "TIDEGATE_SERVICE_HOST": "10.0.0.1",
        "TIDEGATE_SERVICE_PORT": "8000",
        "TIDEGATE_SERVICE_PORT_HTTP": "8000",
        "TIDEGATE_PORT": "tcp://10.0.0.1:8000",
        "TIDEGATE_PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "TIDEGATE_PORT_8000_TCP_PROTO": "tcp",
        "TIDEGATE_PORT_8000_TCP_ADDR": "10.0.0.1",
        "TIDEGATE_METRICS_SERVICE_HOST": "10.0.0.2",
    }
    assert load_config(environment, {}) == ServerConfig()


@given(st.dictionaries(st.text(max_size=12).map(lambda name: f"TIDEGATE_{name}"), st.text(max_size=12), max_size=3))
def test_any_environment_is_a_configuration_or_a_clear_error(environment: dict[str, str]) -> None:
    environment.pop("TIDEGATE_CONFIG", None)
    try:
        load_config(environment, {})
    except InvalidRecipe as error:
        named = str(error)
    else:
        named = "TIDEGATE_"
    assert "TIDEGATE_" in named
