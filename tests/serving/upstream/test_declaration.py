from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from serving.config_sources import load_config
from serving.upstream.declaration import Upstream
from tasks.errors import InvalidRecipe, NotReady

URL = "http://127.0.0.1:9000/v1"


def test_upstreams_are_declared_in_a_file_or_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[upstreams.big]\nurl = "{URL}"\nmodel = "llama"\napi_key_variable = "BIG_KEY"\n')
    wanted = {"big": Upstream(url=URL, model="llama", api_key_variable="BIG_KEY")}
    assert load_config({}, {}, file).upstreams == wanted
    variable = {"TIDEGATE_UPSTREAMS": msgspec.json.encode(wanted).decode()}
    assert load_config(variable, {}).upstreams == wanted


@pytest.mark.parametrize(
    "text",
    [
        "http://host/v1",
        "[]",
        '{"big": "http://host/v1"}',
        '{"big": {}}',
        '{"big": {"url": "host:8000"}}',
        '{"big": {"url": "ftp://host/v1"}}',
        '{"big": {"url": "http://me:secret@host/v1"}}',
        '{"big": {"url": "http://host/v1", "api_key": "secret"}}',
        '{"big": {"url": "http://host/v1", "api_key_file": "a", "api_key_variable": "b"}}',
        '{"big/1": {"url": "http://host/v1"}}',
        '{"big": {"url": "http://host/v1", "max_in_flight": 0}}',
    ],
)
def test_what_can_not_be_meant_is_refused_without_telling_secrets(text: str) -> None:
    with pytest.raises(InvalidRecipe) as raised:
        load_config({"TIDEGATE_UPSTREAMS": text}, {})
    assert "secret" not in str(raised.value)


def test_keys_come_from_where_they_are_at_the_moment(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("first\n")
    by_file, by_variable = Upstream(url=URL, api_key_file=str(file)), Upstream(url=URL, api_key_variable="KEY")
    assert by_file.api_key({}) == "first"
    file.write_text("second")
    assert by_file.api_key({}) == "second"
    assert by_variable.api_key({"KEY": "third"}) == "third"
    assert Upstream(url=URL).api_key({"KEY": "third"}) == ""
    file.unlink()
    with pytest.raises(NotReady):
        by_file.api_key({})


def test_a_server_does_not_start_without_its_keys(tmp_path: Path) -> None:
    for declared in (
        Upstream(url=URL, api_key_variable="KEY"),
        Upstream(url=URL, api_key_file=str(tmp_path / "nowhere")),
        Upstream(url=URL, profile=str(tmp_path / "nowhere")),
    ):
        with pytest.raises(InvalidRecipe, match="big"):
            declared.check("big", {})
    Upstream(url=URL, api_key_variable="KEY").check("big", {"KEY": "x"})
